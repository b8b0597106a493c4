// e4m3 on the host, and quantisation in groups of 128, written from the format's definition: the
// twin of kernels/common/fp8.cuh.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hadal::reference {

// Sign, 4 exponent bits of bias 7, 3 mantissa bits; no infinities; 0x7f and 0xff are NaN.
inline float fp8_to_float(std::uint8_t bits) {
  const int exponent = (bits >> 3) & 15;
  const int mantissa = bits & 7;
  if (exponent == 15 && mantissa == 7) return NAN;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

// Nearest, ties to even, saturating at 448.
inline std::uint8_t float_to_fp8(float x) {
  const std::uint8_t sign = std::signbit(x) ? 0x80 : 0;
  const float magnitude = std::min(std::fabs(x), 448.0f);
  const int exponent = magnitude == 0.0f ? -6 : std::max(std::ilogb(magnitude), -6);
  // One unit of the last place is 2^(exponent - 3).
  const auto units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 3 - exponent)));
  const int biased = units >= 16 ? exponent + 8 : units >= 8 ? exponent + 7 : 0;
  const int mantissa = units >= 16 ? 0 : units & 7;
  return static_cast<std::uint8_t>(sign | (biased << 3) | mantissa);
}

// Largest difference between a value and its e4m3 rounding under scale `scale`: half a unit of the
// last place, or half the smallest subnormal.
inline double fp8_rounding_bound(double value, double scale) {
  return std::max(std::fabs(value) / 16.0, scale / 1024.0);
}

// [rows, k] e4m3 with one scale a row and group of 128; scales [k / 128, stride].
struct Fp8Matrix {
  int rows = 0;
  int k = 0;
  int stride = 0;
  std::vector<std::uint8_t> data;
  std::vector<float> scale;

  double at(int row, int column) const {
    return static_cast<double>(fp8_to_float(data[index(row, column)])) *
           static_cast<double>(scale_of(row, column));
  }
  float scale_of(int row, int column) const {
    return scale[static_cast<std::size_t>(column / 128) * static_cast<std::size_t>(stride) +
                 static_cast<std::size_t>(row)];
  }
  std::size_t index(int row, int column) const {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(k) +
           static_cast<std::size_t>(column);
  }
};

}  // namespace hadal::reference
