// 16 activation rows times 128 weight rows, the building block of the generic FP8 kernels: plain
// loads, shared memory and mma.sync on halves (an e4m3 value is a half exactly). sm_80 and later.
//
// The slow twin on the device: no pipeline, weights as the checkpoint has them.
#pragma once

#include <cstdint>

#include "kernels/common/fp8.cuh"
#include "kernels/common/weight_stream.h"

namespace hadal::kernels {

inline constexpr int kGenericThreads = 128;
inline constexpr int kGenericRows = 16;
inline constexpr int kGenericColumns = 128;  // 32 for each of 4 warps

// Rows of 128 bytes, 16 apart in banks so that the fragment loads of 8 rows do not collide.
struct GenericShared {
  static constexpr int kRowBytes = kQuantBlock + 16;
  alignas(16) std::uint8_t x[kGenericRows * kRowBytes];
  alignas(16) std::uint8_t w[kGenericColumns * kRowBytes];
  float x_scale[kGenericRows];
};

// What thread t holds of a tile: acc[j][e] is row t % 32 / 4 + 8 * (e / 2), column
// 32 * (t / 32) + 8 * j + 2 * (t % 4) + e % 2.
using GenericAccumulators = float[4][4];
__device__ __forceinline__ int generic_row(int e) {
  return threadIdx.x % 32 / 4 + 8 * (e / 2);
}
__device__ __forceinline__ int generic_column(int j, int e) {
  return threadIdx.x / 32 * 32 + 8 * j + 2 * (threadIdx.x % 4) + e % 2;
}

// d[16, 8] += a[16, 16] b[8, 16]^T on halves, FP32 sums.
__device__ __forceinline__ void mma_half(float (&d)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ std::uint32_t load_pair(const std::uint8_t* row, int k) {
  return fp8x2_to_half2(*reinterpret_cast<const std::uint16_t*>(row + k));
}

// Products of one K block.
__device__ inline void generic_block(const GenericShared& shared, GenericAccumulators& acc) {
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
#pragma unroll
  for (int k = 0; k < kQuantBlock; k += 16) {
    const std::uint8_t* x = shared.x + lane / 4 * GenericShared::kRowBytes;
    const int pair = k + 2 * (lane % 4);
    const std::uint8_t* x8 = x + 8 * GenericShared::kRowBytes;
    const std::uint32_t a[4] = {load_pair(x, pair), load_pair(x8, pair), load_pair(x, pair + 8),
                                load_pair(x8, pair + 8)};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const std::uint8_t* w = shared.w + (warp * 32 + j * 8 + lane / 4) * GenericShared::kRowBytes;
      const std::uint32_t b[2] = {load_pair(w, pair), load_pair(w, pair + 8)};
      mma_half(acc[j], a, b);
    }
  }
}

// acc += x W^T over all of K. `source_row(r)` is the row of x that is row r of the tile, and
// `byte_of(row, k)` says where an element of x lies. Rows from `rows` on, and weight rows from
// `weight_rows` on, count as zero.
template <typename SourceRow, typename ByteOf>
__device__ void generic_tile(const Fp8Rows& x, int k, int rows, SourceRow source_row,
                             ByteOf byte_of, const std::uint8_t* weights, int weight_rows,
                             const float* weight_scale, GenericShared& shared,
                             GenericAccumulators& acc) {
  const int chunk = threadIdx.x % 8 * 16;
  for (int k_block = 0; k_block < k / kQuantBlock; ++k_block) {
    const int k_begin = k_block * kQuantBlock + chunk;
    __syncthreads();
    const int row = threadIdx.x / 8;
    uint4 loaded = {};
    if (row < rows) {
      loaded = *reinterpret_cast<const uint4*>(x.data + byte_of(source_row(row), k_begin));
    }
    *reinterpret_cast<uint4*>(shared.x + row * GenericShared::kRowBytes + chunk) = loaded;
    for (int n = row; n < kGenericColumns; n += kGenericThreads / 8) {
      uint4 weight = {};
      if (n < weight_rows) {
        weight =
            *reinterpret_cast<const uint4*>(weights + static_cast<std::size_t>(n) * k + k_begin);
      }
      *reinterpret_cast<uint4*>(shared.w + n * GenericShared::kRowBytes + chunk) = weight;
    }
    if (threadIdx.x < kGenericRows) {
      const int r = threadIdx.x;
      shared.x_scale[r] =
          r < rows ? x.scale[static_cast<std::size_t>(k_block) * x.scale_stride + source_row(r)]
                   : 0.0f;
    }
    __syncthreads();
    GenericAccumulators block = {};
    generic_block(shared, block);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        acc[j][e] += block[j][e] * (weight_scale[k_block] * shared.x_scale[generic_row(e)]);
      }
    }
  }
}

}  // namespace hadal::kernels
