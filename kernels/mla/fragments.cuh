// Matrix fragments of MLA: mma.sync m16n8k16 with FP32 sums, operands from shared memory by
// ldmatrix, FP8 cache rows converted to halves in registers on the way.
//
// An e4m3 row read by a 16-bit ldmatrix gives thread t of a quad the bytes 4t .. 4t+3 of 16. As the
// sum over k may run in any order, those four stand for k = 2t, 2t+1, 2t+8, 2t+9, and the queries
// are stored in the same order (query_position).
#pragma once

#include <cstdint>

#include "kernels/common/fp8.cuh"
#include "kernels/common/kv_layout.h"

namespace hadal::kernels::mla {

__device__ __forceinline__ std::uint32_t address_of(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// Four 8 x 16-byte matrices; lane l gives the address of row l % 8 of matrix l / 8.
__device__ __forceinline__ void load_matrices(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address_of(row)));
}
__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address_of(row)));
}

__device__ __forceinline__ void mma_f16(float (&d)[4], const std::uint32_t (&a)[4],
                                        std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                                         std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// The operand type of the latent part: halves for FP8 caches, bf16 for bf16 ones.
template <KvFormat kFormat>
__device__ __forceinline__ void mma_latent(float (&d)[4], const std::uint32_t (&a)[4],
                                           std::uint32_t b0, std::uint32_t b1) {
  if constexpr (kFormat == KvFormat::kFp8) {
    mma_f16(d, a, b0, b1);
  } else {
    mma_bf16(d, a, b0, b1);
  }
}

// Where element i of a query's latent part is stored.
template <KvFormat kFormat>
__device__ __forceinline__ int query_position(int i) {
  if (kFormat == KvFormat::kBf16) return i;
  const int t = i % 16 / 4;
  return i / 16 * 16 + 2 * t + i % 2 + (i % 4 < 2 ? 0 : 8);
}

// Low and high pairs of four e4m3 bytes as halves.
__device__ __forceinline__ void widen(std::uint32_t bytes, std::uint32_t& low,
                                      std::uint32_t& high) {
  low = fp8x2_to_half2(static_cast<std::uint16_t>(bytes));
  high = fp8x2_to_half2(static_cast<std::uint16_t>(bytes >> 16));
}

// Splits (column 2g, 2g+1 of token 2t | the same of token 2t+1) into the pairs of even and odd
// columns.
__device__ __forceinline__ void widen_transposed(std::uint32_t bytes, std::uint32_t& even,
                                                 std::uint32_t& odd) {
  widen(__byte_perm(bytes, 0, 0x3120), even, odd);
}

}  // namespace hadal::kernels::mla
