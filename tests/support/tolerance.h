// How close numbers must be, and why. Every golden comparison takes its bound from here.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

#include "hadal/base/check.h"

namespace hadal::test {

// fp32 against the fp32 goldens: orders of summation differ. 1e-3 of a value, or 1e-3 absolutely
// for values below 1.
inline constexpr double kReferenceTolerance = 1e-3;

// bf16 against the fp32 goldens. A backend may round to bf16 (relative error at most 2^-9, rms that
// over the square root of 3): what enters a matrix product, and what enters the cache. The errors
// are independent, so they add up as squares: n roundings on the way to a vector give it a relative
// L2 error of about sqrt(n) times one rounding's rms. The way passes ten in each layer: the inputs
// of qkv_a, q_b, W_UK, the cache entry, attention weights, the input of W_UV, o_proj, router,
// gate_up and down. 3 is for what the estimate leaves out: the softmax and the router amplify.
inline double serving_tolerance(int layers) {
  constexpr int kRoundingsALayer = 10;
  const double rounding_rms = 0x1p-9 / std::sqrt(3.0);
  const int roundings = kRoundingsALayer * layers + 1;  // and the input of the head
  return 3.0 * std::sqrt(roundings) * rounding_rms;
}

// How far `found` is from `wanted`; infinite where a value is not finite.
using Deviation = double (*)(std::span<const float> found, std::span<const float> wanted);

// |found - wanted| / |wanted|, as vectors.
inline double relative_l2(std::span<const float> found, std::span<const float> wanted) {
  HADAL_CHECK(found.size() == wanted.size(), "{} values, wanted {}", found.size(), wanted.size());
  double difference = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < found.size(); ++i) {
    difference += (double{found[i]} - wanted[i]) * (double{found[i]} - wanted[i]);
    norm += double{wanted[i]} * wanted[i];
  }
  return std::isfinite(difference) ? std::sqrt(difference / norm) : INFINITY;
}

// The largest |found - wanted| / max(1, |wanted|); infinite where a value is not finite.
inline double worst_deviation(std::span<const float> found, std::span<const float> wanted) {
  HADAL_CHECK(found.size() == wanted.size(), "{} values, wanted {}", found.size(), wanted.size());
  double worst = 0.0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double difference = std::abs(double{found[i]} - double{wanted[i]});
    if (!std::isfinite(difference)) return INFINITY;
    worst = std::max(worst, difference / std::max(1.0, std::abs(double{wanted[i]})));
  }
  return worst;
}

}  // namespace hadal::test
