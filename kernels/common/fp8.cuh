// Conversions between e4m3 and wider types.
#pragma once

#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <cstdint>

namespace hadal::kernels {

inline constexpr float kFp8Max = 448.0f;
// Keeps the scale of an all-zero group finite; far below any activation of the model.
inline constexpr float kQuantAmaxMin = 1e-10f;

__device__ __forceinline__ std::uint8_t to_fp8(float x) {
  return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3);
}
// Low byte = x, high byte = y.
__device__ __forceinline__ std::uint16_t to_fp8x2(float x, float y) {
  return __nv_cvt_float2_to_fp8x2(make_float2(x, y), __NV_SATFINITE, __NV_E4M3);
}
// Exact: every e4m3 value is a half.
__device__ __forceinline__ std::uint32_t fp8x2_to_half2(std::uint16_t pair) {
  const __half2_raw wide = __nv_cvt_fp8x2_to_halfraw2(pair, __NV_E4M3);
  return static_cast<std::uint32_t>(wide.x) | (static_cast<std::uint32_t>(wide.y) << 16);
}

}  // namespace hadal::kernels
