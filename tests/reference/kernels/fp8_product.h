// Matrix products of FP8 operands in double precision, with the bound on what a kernel may differ.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "reference/kernels/fp8.h"

namespace hadal::reference {

// Hopper's tensor cores keep about 13 fraction bits below the largest product while they add; a
// kernel's sum over K may thus be off by this part of the sum of magnitudes. FP32 sums are far
// below.
inline constexpr double kFp8SumTolerance = 1.0 / 4096;
// Half a unit of the last place of bf16, and as much again for the FP32 sum before it.
inline constexpr double kBf16Tolerance = 1.0 / 256;

// One [n, k] weight with a scale per 128 x 128 block: scales [ceil(n / 128), k / 128].
struct Fp8Weight {
  int n = 0;
  int k = 0;
  std::vector<std::uint8_t> data;
  std::vector<float> scale;
};

// A sum and the sum of its terms' magnitudes.
struct Sum {
  double value = 0;
  double magnitude = 0;
  double bound() const { return magnitude * kFp8SumTolerance; }
};

// e4m3 to float, by table: the reference spends its time here.
inline const std::vector<float>& fp8_table() {
  static const std::vector<float> table = [] {
    std::vector<float> values(256);
    for (int i = 0; i < 256; ++i)
      values[static_cast<std::size_t>(i)] = fp8_to_float(static_cast<std::uint8_t>(i));
    return values;
  }();
  return table;
}

// x[row, :] . W[column, :], both dequantised. Products of e4m3 values and sums of 128 of them are
// exact in float, except for at most 2^-24 of the sum of magnitudes.
inline Sum dot(const Fp8Matrix& x, int row, const Fp8Weight& w, int column) {
  const std::vector<float>& table = fp8_table();
  Sum sum;
  for (int block = 0; block < x.k / 128; ++block) {
    const std::uint8_t* a = &x.data[x.index(row, block * 128)];
    const std::uint8_t* b =
        &w.data[static_cast<std::size_t>(column) * static_cast<std::size_t>(w.k) +
                static_cast<std::size_t>(block) * 128];
    float value = 0;
    float magnitude = 0;
    for (int i = 0; i < 128; ++i) {
      const float product = table[a[i]] * table[b[i]];
      value += product;
      magnitude += std::fabs(product);
    }
    const double scale =
        static_cast<double>(x.scale_of(row, block * 128)) *
        static_cast<double>(w.scale[static_cast<std::size_t>(column / 128 * (w.k / 128) + block)]);
    sum.value += static_cast<double>(value) * scale;
    sum.magnitude += static_cast<double>(magnitude) * std::fabs(scale);
  }
  return sum;
}

}  // namespace hadal::reference
