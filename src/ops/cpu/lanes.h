// Sixteen fp32 lanes over the compiler's vector type of the path's register width: the same source
// becomes SSE, AVX2 or AVX-512 code and gives the same sums, up to fused multiply-adds. Included by
// the per-path sources only (kernels.h); everything has internal linkage, so no copy of one path's
// code can end up in another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#define HADAL_INLINE [[gnu::always_inline]] inline

namespace hadal::ops {
namespace {

constexpr int kLanes = 16;
#if defined(__AVX512F__)
constexpr int kRegisterLanes = 16;
#elif defined(__AVX__)
constexpr int kRegisterLanes = 8;
#else
constexpr int kRegisterLanes = 4;
#endif
constexpr int kParts = kLanes / kRegisterLanes;

using F32Part = float __attribute__((vector_size(kRegisterLanes * 4)));
using I32Part = int32_t __attribute__((vector_size(kRegisterLanes * 4)));
using U16Part = uint16_t __attribute__((vector_size(kRegisterLanes * 2)));

struct F32x16 {
  F32Part part[kParts];
};

// Integers, or a mask: 0 or -1 a lane.
struct I32x16 {
  I32Part part[kParts];
};

HADAL_INLINE F32x16 splat(float value) {
  F32x16 v;
  for (int i = 0; i < kParts; ++i) v.part[i] = F32Part{} + value;
  return v;
}

// The operators of F32x16 among themselves and with a scalar.
#define HADAL_LANE_OPERATOR(op)                                          \
  HADAL_INLINE F32x16 operator op(F32x16 a, F32x16 b) {                  \
    for (int i = 0; i < kParts; ++i) a.part[i] = a.part[i] op b.part[i]; \
    return a;                                                            \
  }                                                                      \
  HADAL_INLINE F32x16 operator op(F32x16 a, float b) {                   \
    return a op splat(b);                                                \
  }                                                                      \
  HADAL_INLINE F32x16 operator op(float a, F32x16 b) {                   \
    return splat(a) op b;                                                \
  }
HADAL_LANE_OPERATOR(+)
HADAL_LANE_OPERATOR(-)
HADAL_LANE_OPERATOR(*)
HADAL_LANE_OPERATOR(/)
#undef HADAL_LANE_OPERATOR

HADAL_INLINE F32x16& operator+=(F32x16& a, F32x16 b) {
  return a = a + b;
}

HADAL_INLINE F32x16 operator-(F32x16 a) {
  for (int i = 0; i < kParts; ++i) a.part[i] = -a.part[i];
  return a;
}

HADAL_INLINE I32x16 less(F32x16 a, F32x16 b) {
  I32x16 mask;
  for (int i = 0; i < kParts; ++i) mask.part[i] = a.part[i] < b.part[i];
  return mask;
}

HADAL_INLINE I32x16 is_number(F32x16 a) {
  I32x16 mask;
  for (int i = 0; i < kParts; ++i) mask.part[i] = a.part[i] == a.part[i];
  return mask;
}

HADAL_INLINE F32x16 select(I32x16 condition, F32x16 yes, F32x16 no) {
  for (int i = 0; i < kParts; ++i) {
    no.part[i] = condition.part[i] ? yes.part[i] : no.part[i];
  }
  return no;
}

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
  F32x16 v = splat(fill);
  std::memcpy(&v, p, static_cast<size_t>(n) * sizeof(float));
  return v;
}

HADAL_INLINE void store_part(float* p, F32x16 v, int64_t n) {
  std::memcpy(p, &v, static_cast<size_t>(n) * sizeof(float));
}

HADAL_INLINE float first_lane(F32x16 v) {
  return v.part[0][0];
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

HADAL_INLINE F32x16 bf16_to_lanes(const uint16_t* p) {
  F32x16 v;
  for (int i = 0; i < kParts; ++i) {
    U16Part bits;
    std::memcpy(&bits, p + i * kRegisterLanes, sizeof(bits));
    v.part[i] = (F32Part)(__builtin_convertvector(bits, I32Part) << 16);
  }
  return v;
}

// Round to nearest, ties to even. A NaN stays a NaN.
HADAL_INLINE void lanes_to_bf16(uint16_t* p, F32x16 v) {
  for (int i = 0; i < kParts; ++i) {
    const auto bits = (I32Part)v.part[i];
    const I32Part rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    const I32Part nan = (bits >> 16) | 0x40;
    const I32Part chosen = (v.part[i] == v.part[i]) ? rounded : nan;
    const U16Part narrow = __builtin_convertvector(chosen, U16Part);
    std::memcpy(p + i * kRegisterLanes, &narrow, sizeof(narrow));
  }
}

// e^x. Relative error below 2e-7 for x in [-87, 88]; 0 below, infinite above; NaN stays NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its Taylor polynomial to r^7.
HADAL_INLINE F32x16 exp16(F32x16 x) {
  const I32x16 low = less(x, splat(-87.0F));
  const I32x16 high = less(splat(88.0F), x);
  const F32x16 y = select(low, splat(0.0F), select(high, splat(0.0F), x));
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it leaves the nearest integer
  const F32x16 shifted = y * 1.44269504F + kRound;
  const F32x16 n = shifted - kRound;
  const F32x16 r = (y - n * 0.693359375F) - n * -2.12194440e-4F;  // ln 2 in two parts
  F32x16 p = splat(1.0F / 5040.0F);
  constexpr float kCoefficients[] = {1.0F / 720.0F, 1.0F / 120.0F, 1.0F / 24.0F, 1.0F / 6.0F,
                                     0.5F,          1.0F,          1.0F};
  for (const float coefficient : kCoefficients) p = p * r + coefficient;
  for (int i = 0; i < kParts; ++i) {  // times 2^n: the integer sits in the low mantissa bits
    p.part[i] = (F32Part)((I32Part)p.part[i] + ((I32Part)shifted.part[i] << 23));
  }
  p = select(low, splat(0.0F), select(high, splat(__builtin_inff()), p));
  return select(is_number(x), p, x);
}

}  // namespace
}  // namespace hadal::ops
