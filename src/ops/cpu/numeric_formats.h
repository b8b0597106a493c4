// bf16, e4m3 and e2m1 in scalar form: the definition that packing, the portable path and the tests
// share. Internal linkage: sources with different instruction-set flags include it (kernels.h).
// e4m3 is e4m3fn: bias 7, no infinity, 0x7F and 0xFF are NaN. e2m1 code bit 3 is the sign.
#pragma once

#include <cstdint>

namespace hadal::ops {

static inline float bf16_to_f32(uint16_t bits) {
  return __builtin_bit_cast(float, uint32_t{bits} << 16);
}

// Round to nearest, ties to even. A NaN stays a NaN.
static inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static constexpr bool e4m3_is_nan(uint8_t code) {
  return (code & 0x7F) == 0x7F;
}

static constexpr float e4m3_to_f32(uint8_t code) {
  const int exponent = code >> 3 & 15;
  const int mantissa = code & 7;
  // Subnormals have no hidden bit and the exponent of the smallest normal.
  const float magnitude =
      exponent == 0
          ? static_cast<float>(mantissa) * 0x1p-9F
          : __builtin_bit_cast(float, uint32_t(exponent + 120) << 23 | uint32_t(mantissa) << 20);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

inline constexpr float kE2m1Values[16] = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,  4.0F,  6.0F,
                                          -0.0F, -0.5F, -1.0F, -1.5F, -2.0F, -3.0F, -4.0F, -6.0F};

}  // namespace hadal::ops
