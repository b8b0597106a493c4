// Sixteen fp32 lanes as a compiler vector type: the same source becomes SSE, AVX2 or AVX-512 code
// and the same sums, up to fused multiply-adds. Included by the per-path sources only (kernels.h);
// everything has internal linkage, so no copy of one path's code can end up in another.
#pragma once

#include <cstdint>
#include <cstring>

namespace hadal::ops {
namespace {

constexpr int kLanes = 16;
using F32x16 = float __attribute__((vector_size(64)));
using I32x16 = int32_t __attribute__((vector_size(64)));
using U16x16 = uint16_t __attribute__((vector_size(32)));

#define HADAL_INLINE [[gnu::always_inline]] inline

HADAL_INLINE F32x16 load16(const float* p) {
  F32x16 v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

HADAL_INLINE void store16(float* p, F32x16 v) {
  std::memcpy(p, &v, sizeof(v));
}

// The first n of 16 lanes; the others are `fill` and nothing behind p[n - 1] is read.
HADAL_INLINE F32x16 load_part(const float* p, int64_t n, float fill = 0.0F) {
  F32x16 v = F32x16{} + fill;
  std::memcpy(&v, p, static_cast<size_t>(n) * sizeof(float));
  return v;
}

HADAL_INLINE void store_part(float* p, F32x16 v, int64_t n) {
  std::memcpy(p, &v, static_cast<size_t>(n) * sizeof(float));
}

HADAL_INLINE F32x16 splat(float value) {
  return F32x16{} + value;
}

HADAL_INLINE F32x16 select(I32x16 condition, F32x16 yes, F32x16 no) {
  return condition ? yes : no;
}

HADAL_INLINE F32x16 max16(F32x16 a, F32x16 b) {
  return select(a > b, a, b);
}

// A fixed tree, so that the order of the sum is the same everywhere.
HADAL_INLINE float sum_lanes(F32x16 v) {
  float f[kLanes];
  store16(f, v);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) f[i] += f[i + width];
  }
  return f[0];
}

HADAL_INLINE float max_lanes(F32x16 v) {
  float f[kLanes];
  store16(f, v);
  float m = f[0];
  for (int i = 1; i < kLanes; ++i) m = f[i] > m ? f[i] : m;
  return m;
}

HADAL_INLINE F32x16 bf16_to_lanes(const uint16_t* p) {
  U16x16 bits;
  std::memcpy(&bits, p, sizeof(bits));
  const I32x16 wide = __builtin_convertvector(bits, I32x16) << 16;
  F32x16 v;
  std::memcpy(&v, &wide, sizeof(v));
  return v;
}

// Round to nearest, ties to even. A NaN stays a NaN.
HADAL_INLINE void lanes_to_bf16(uint16_t* p, F32x16 v) {
  I32x16 bits;
  std::memcpy(&bits, &v, sizeof(bits));
  const I32x16 rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  const I32x16 nan = (bits >> 16) | 0x40;
  const I32x16 chosen = (v == v) ? rounded : nan;
  const U16x16 narrow = __builtin_convertvector(chosen, U16x16);
  std::memcpy(p, &narrow, sizeof(narrow));
}

// e^x. Relative error below 2e-7 for x in [-87, 88]; 0 below, infinite above; NaN stays NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its Taylor polynomial to r^7.
HADAL_INLINE F32x16 exp16(F32x16 x) {
  const I32x16 low = x < -87.0F;
  const I32x16 high = x > 88.0F;
  const F32x16 y = select(low | high, F32x16{}, x);
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it leaves the nearest integer
  const F32x16 shifted = y * 1.44269504F + kRound;
  const F32x16 n = shifted - kRound;
  const F32x16 r = (y - n * 0.693359375F) - n * -2.12194440e-4F;  // ln 2 in two parts
  F32x16 p = splat(1.0F / 5040.0F);
  p = p * r + 1.0F / 720.0F;
  p = p * r + 1.0F / 120.0F;
  p = p * r + 1.0F / 24.0F;
  p = p * r + 1.0F / 6.0F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  I32x16 shifted_bits, p_bits;
  std::memcpy(&shifted_bits, &shifted, sizeof(shifted_bits));
  std::memcpy(&p_bits, &p, sizeof(p_bits));
  p_bits += shifted_bits << 23;  // the integer sits in the low mantissa bits
  std::memcpy(&p, &p_bits, sizeof(p));
  p = select(low, F32x16{}, select(high, splat(__builtin_inff()), p));
  return select(x == x, p, x);
}

}  // namespace
}  // namespace hadal::ops
