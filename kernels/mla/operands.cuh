// Where the operands of a tile's products lie in shared memory, and how a warp fetches them: cached
// entries as the page has them, queries and weights as tiles that the tensor cores can read.
#pragma once

#include <cstdint>

#include "kernels/common/mbarrier.cuh"
#include "kernels/mla/fragments.cuh"
#include "kernels/mla/mla.h"

namespace hadal::kernels::mla {

inline constexpr int kQueryChunks = 2 * kLatentRope / 16;  // 16-byte chunks of a query
inline constexpr int kLatentChunks = 2 * kLatent / 16;
inline constexpr int kTokenGroups = kPageTokens / 16;
inline constexpr int kTileRowBytes = 128;  // rows of the swizzled tiles that products read

template <int kColumns>
struct TileShape {
  static constexpr int kColumnGroups = 2;
  static constexpr int kGroupColumns = kColumns / kColumnGroups;
  static constexpr int kWarps = kTokenGroups * kColumnGroups;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kScoreBlocks = kGroupColumns / 8;   // of 8 columns, one warp
  static constexpr int kOutTiles = kLatent / 16 / kWarps;  // of 16 channels, one warp
  static constexpr int kOutBlocks = kColumns / 8;
  static_assert(kColumns % 16 == 0 && kColumns <= kColumnsMax && kOutTiles * kWarps == 32,
                "weights are fetched 16 columns at a time and the warps share 32 channel tiles");
};

template <int kColumns>
using Scores = float[TileShape<kColumns>::kScoreBlocks][4];
template <int kColumns>
using Outputs = float[TileShape<kColumns>::kOutTiles][TileShape<kColumns>::kOutBlocks][4];

// Shared memory beside the pages. Both operand tiles have rows of 128 bytes, one a column, with
// 16-byte chunk c of row n at c ^ (n % 8).
template <int kColumns>
struct alignas(1024) TileShared {
  std::uint8_t queries[kQueryChunks / 8][kColumns * kTileRowBytes];  // a block a 64 of K
  std::uint8_t weights[kColumns * kTileRowBytes];                    // the page's 64 tokens
  float maxima[kTokenGroups][kColumns];  // of the page's scores; at the end, sums of weights
  float rescale[kColumns];               // what the sums so far are multiplied by
};

// Byte of 16-byte chunk `chunk` of a query, or of the weights with chunks of 8 tokens.
template <int kColumns>
__device__ __forceinline__ int operand_offset(int column, int chunk) {
  return (chunk / 8 * kColumns + column) * kTileRowBytes + ((chunk % 8) ^ (column % 8)) * 16;
}

// Places of this thread in the score fragments.
__device__ __forceinline__ int lane_id() {
  return static_cast<int>(threadIdx.x) % 32;
}
__device__ __forceinline__ int warp_id() {
  return static_cast<int>(threadIdx.x) / 32;
}
__device__ __forceinline__ int token_group() {
  return warp_id() % kTokenGroups;
}
template <int kColumns>
__device__ __forceinline__ int group_column() {
  return warp_id() / kTokenGroups * TileShape<kColumns>::kGroupColumns;
}

// Shared-memory address of 16 bytes of a cached latent, or of its rotated key.
template <KvFormat kFormat>
__device__ __forceinline__ std::uint32_t latent_chunk(std::uint32_t page, int token, int chunk) {
  const int place = kFormat == KvFormat::kFp8 ? chunk : chunk ^ (token % 8);
  return page + token * kv_token_bytes(kFormat) + place * 16;
}
template <KvFormat kFormat>
__device__ __forceinline__ std::uint32_t rope_chunk(std::uint32_t page, int token, int chunk) {
  if constexpr (kFormat == KvFormat::kFp8) {
    return page + token * kv_token_bytes(kFormat) + kFp8RopeOffset + chunk * 16;
  }
  return latent_chunk<kFormat>(page, token, kLatentChunks + chunk);
}

// Words that 32 channels of a key, or 32 tokens of a value, take: one ldmatrix for fp8, two for
// bf16.
template <KvFormat kFormat>
inline constexpr int kWordGroups = kFormat == KvFormat::kFp8 ? 1 : 2;

// This warp's 16 tokens of 32 channels, the `step`-th such group, into kWordGroups groups of words.
template <KvFormat kFormat>
__device__ __forceinline__ void load_keys(std::uint32_t page, int step, std::uint32_t (*words)[4]) {
  const int token = 16 * token_group() + lane_id() % 16;
#pragma unroll
  for (int i = 0; i < kWordGroups<kFormat>; ++i) {
    const int chunk = 2 * (kWordGroups<kFormat> * step + i) + lane_id() / 16;
    load_matrices(words[i], latent_chunk<kFormat>(page, token, chunk));
  }
}
// The same of the rotated key, in two groups of words for either format.
template <KvFormat kFormat>
__device__ __forceinline__ void load_rope_keys(std::uint32_t page, int step,
                                               std::uint32_t (*words)[4]) {
  const int token = 16 * token_group() + lane_id() % 16;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    load_matrices(words[i], rope_chunk<kFormat>(page, token, 4 * step + 2 * i + lane_id() / 16));
  }
}

// Tokens 32 group .. + 31 of 16 channels, transposed, into kWordGroups groups of words.
template <KvFormat kFormat>
__device__ __forceinline__ void load_values(std::uint32_t page, int group, int tile,
                                            std::uint32_t (*words)[4]) {
  if constexpr (kFormat == KvFormat::kFp8) {
    load_matrices_transposed(words[0], latent_chunk<kFormat>(page, 32 * group + lane_id(), tile));
  } else {
    // Matrices in the operand's order: tokens 0-7 of channels 0-7 and 8-15, then tokens 8-15.
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      const int token = 32 * group + 16 * step + lane_id() / 16 * 8 + lane_id() % 8;
      const int chunk = 2 * tile + lane_id() / 8 % 2;
      load_matrices_transposed(words[step], latent_chunk<kFormat>(page, token, chunk));
    }
  }
}

// Brings sums of e4m3 products to the true values.
template <KvFormat kFormat, int kColumns>
__device__ __forceinline__ void scale_scores(const float (&factors)[2], Scores<kColumns>& s) {
  if constexpr (kFormat == KvFormat::kFp8) {
#pragma unroll
    for (int b = 0; b < TileShape<kColumns>::kScoreBlocks; ++b) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        s[b][e] *= factors[e / 2] * (1.0f / Operand<kFormat>::kQueryFactor);
      }
    }
  }
}

// Two bf16 values times a power of two, as halves; values out of range become the largest half.
__device__ __forceinline__ std::uint32_t scaled_half2(std::uint32_t bf16_pair, float factor) {
  const float low = __uint_as_float(bf16_pair << 16) * factor;
  const float high = __uint_as_float(bf16_pair & 0xffff0000u) * factor;
  std::uint32_t halves;
  asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(halves) : "f"(high), "f"(low));
  return halves;
}

// Stores 8 channels of a query where Operand wants them. `chunk` counts 8 channels of
// the 576.
template <KvFormat kFormat, int kColumns>
__device__ __forceinline__ void store_query_chunk(std::uint8_t* queries, int column, int chunk,
                                                  uint4 bits) {
  if (kFormat == KvFormat::kBf16 || chunk >= kLatentChunks) {
    *reinterpret_cast<uint4*>(queries + operand_offset<kColumns>(column, chunk)) = bits;
    return;
  }
  constexpr float kFactor = Operand<kFormat>::kQueryFactor;
  const int half = chunk % 2;
  const uint2 first = {scaled_half2(bits.x, kFactor), scaled_half2(bits.z, kFactor)};
  const uint2 second = {scaled_half2(bits.y, kFactor), scaled_half2(bits.w, kFactor)};
  std::uint8_t* pair = queries + operand_offset<kColumns>(column, chunk - half) + 8 * half;
  std::uint8_t* other = queries + operand_offset<kColumns>(column, chunk - half + 1) + 8 * half;
  *reinterpret_cast<uint2*>(pair) = first;
  *reinterpret_cast<uint2*>(other) = second;
}

}  // namespace hadal::kernels::mla
