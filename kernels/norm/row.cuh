// Eight values of a row in one thread's registers: what every kernel of this family works on.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/common/fp8.cuh"
#include "kernels/norm/norm.h"

namespace hadal::kernels::norm {

inline constexpr int kPiece = 8;                  // values of one 16-byte load
inline constexpr int kGroupLanes = 128 / kPiece;  // lanes that share a quantisation scale

struct Piece {
  float value[kPiece];
};

__device__ __forceinline__ Piece load_piece(const __nv_bfloat16* from) {
  const uint4 raw = *reinterpret_cast<const uint4*>(from);
  const auto* pairs = reinterpret_cast<const __nv_bfloat162*>(&raw);
  Piece piece;
#pragma unroll
  for (int i = 0; i < kPiece / 2; ++i) {
    const float2 pair = __bfloat1622float2(pairs[i]);
    piece.value[2 * i] = pair.x;
    piece.value[2 * i + 1] = pair.y;
  }
  return piece;
}

// Rounds to bf16 what it stores, in `piece` too.
__device__ __forceinline__ uint4 round_piece(Piece& piece) {
  uint4 raw;
  auto* pairs = reinterpret_cast<__nv_bfloat162*>(&raw);
#pragma unroll
  for (int i = 0; i < kPiece / 2; ++i) {
    pairs[i] = __floats2bfloat162_rn(piece.value[2 * i], piece.value[2 * i + 1]);
    const float2 pair = __bfloat1622float2(pairs[i]);
    piece.value[2 * i] = pair.x;
    piece.value[2 * i + 1] = pair.y;
  }
  return raw;
}

__device__ __forceinline__ float square_sum(const Piece& piece) {
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kPiece; ++i) sum += piece.value[i] * piece.value[i];
  return sum;
}

__device__ __forceinline__ float amax_of(const Piece& piece) {
  float largest = 0.0f;
#pragma unroll
  for (int i = 0; i < kPiece; ++i) largest = fmaxf(largest, fabsf(piece.value[i]));
  return largest;
}

template <int kLanes>
__device__ __forceinline__ float lanes_sum(float x) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(~0u, x, step);
  return x;
}
template <int kLanes>
__device__ __forceinline__ float lanes_max(float x) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, step));
  return x;
}

// y = x * inverse_rms * weight in FP32, rounded to bf16 once.
__device__ __forceinline__ uint4 normalise(Piece& piece, float inverse_rms, const Piece& weight) {
#pragma unroll
  for (int i = 0; i < kPiece; ++i) piece.value[i] = piece.value[i] * inverse_rms * weight.value[i];
  return round_piece(piece);
}

// e4m3 of the piece under scale `scale`.
__device__ __forceinline__ uint2 quantise(const Piece& piece, float scale) {
  const float inverse = 1.0f / scale;
  std::uint16_t pairs[kPiece / 2];
#pragma unroll
  for (int i = 0; i < kPiece / 2; ++i) {
    pairs[i] = to_fp8x2(piece.value[2 * i] * inverse, piece.value[2 * i + 1] * inverse);
  }
  return {pairs[0] | static_cast<unsigned>(pairs[1]) << 16,
          pairs[2] | static_cast<unsigned>(pairs[3]) << 16};
}

__device__ __forceinline__ float scale_of_amax(float amax) {
  return fmaxf(amax, kQuantAmaxMin) / kFp8Max;
}

// Quantises one thread's piece of row `token`, whose groups of 128 are 16 neighbouring lanes.
__device__ __forceinline__ void store_quantised(const QuantisedRows& out, const Piece& piece,
                                                int token, int column, int width) {
  const float scale = scale_of_amax(lanes_max<kGroupLanes>(amax_of(piece)));
  const std::size_t offset = out.layout == RowLayout::kRows
                                 ? static_cast<std::size_t>(token) * width + column
                                 : tiled_offset(out.scale_stride, token, column);
  *reinterpret_cast<uint2*>(out.data + offset) = quantise(piece, scale);
  if (threadIdx.x % kGroupLanes == 0) out.scale[column / 128 * out.scale_stride + token] = scale;
}

}  // namespace hadal::kernels::norm
