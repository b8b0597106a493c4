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
