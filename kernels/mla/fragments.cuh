// Loads of matrix fragments from shared memory and the matrix instructions they feed: one PTX
// instruction, one function. sm_80.
//
// A operands are 16 rows x 16 of K, B operands 8 columns x 16 of K; lane l holds row l / 4 (and
// l / 4 + 8) and the K pairs 2 (l % 4) and 2 (l % 4) + 8.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/common/fp8.cuh"
#include "kernels/common/kv_layout.h"

namespace hadal::kernels::mla {

// Four 8 x 8 matrices of 16-bit elements; lane l names row l % 8 of matrix l / 8.
__device__ __forceinline__ void load_matrices(std::uint32_t (&r)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&r)[4],
                                                         std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// d[16, 8] += a[16, 16] b[8, 16]^T, FP32 sums.
__device__ __forceinline__ void mma(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                    std::uint32_t b1, __half) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void mma(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                    std::uint32_t b1, __nv_bfloat16) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 2^x, flushing only what no sum can notice.
__device__ __forceinline__ float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// How cached values become A operands. Math is in half for fp8 (an e4m3 value is a half exactly,
// and halves keep more of the weights' mantissa than bf16) and in bf16 for bf16.
//
// A word of an fp8 key row holds 4 channels, which become the pairs of K 2j and 2j + 8 of thread j.
// So channels 4j .. 4j + 3 of each 16 are summed at K places 2j, 2j + 1, 2j + 8, 2j + 9, and
// queries are stored in that order.
template <KvFormat kFormat>
struct Operand;

template <>
struct Operand<KvFormat::kFp8> {
  using Element = __half;
  // Queries are scaled down so that none overflows a half; weights are scaled up so that the
  // product with a token's scale (about 0.01) stays clear of the half's subnormals.
  static constexpr float kQueryFactor = 1.0f / 16;
  static constexpr float kWeightFactor = 256.0f;

  __device__ static std::uint32_t pack(float x, float y) {
    const __half2 pair = __floats2half2_rn(x, y);
    std::uint32_t bits;
    memcpy(&bits, &pair, sizeof bits);
    return bits;
  }
  // Two pairs of e4m3 as pairs of halves.
  __device__ static void widen(std::uint32_t bytes, std::uint32_t& low, std::uint32_t& high) {
#if __CUDA_ARCH__ >= 890
    // Written out because the compiler does not see that the instruction can read the upper half.
    asm("{\n.reg .b16 l, h;\nmov.b32 {l, h}, %2;\n"
        "cvt.rn.f16x2.e4m3x2 %0, l;\ncvt.rn.f16x2.e4m3x2 %1, h;\n}\n"
        : "=r"(low), "=r"(high)
        : "r"(bytes));
#else
    low = fp8x2_to_half2(static_cast<std::uint16_t>(bytes));
    high = fp8x2_to_half2(static_cast<std::uint16_t>(bytes >> 16));
#endif
  }
  // Step 0 or 1 of 16 channels each.
  __device__ static void key_step(std::uint32_t (&a)[4], const std::uint32_t (&keys)[4], int step) {
    widen(keys[2 * step], a[0], a[2]);
    widen(keys[2 * step + 1], a[1], a[3]);
  }
  // Step 0 or 1 of 16 tokens each. A word holds channels 2g, 2g + 1 of tokens 2j, then 2j + 1; row
  // g of the operand is channel 2g and row g + 8 channel 2g + 1.
  __device__ static void value_step(std::uint32_t (&a)[4], const std::uint32_t (&values)[4],
                                    int step) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const std::uint32_t by_channel = __byte_perm(values[2 * step + half], 0, 0x3120);
      widen(by_channel, a[2 * half], a[2 * half + 1]);
    }
  }
};

template <>
struct Operand<KvFormat::kBf16> {
  using Element = __nv_bfloat16;
  static constexpr float kQueryFactor = 1.0f;
  static constexpr float kWeightFactor = 1.0f;
  __device__ static std::uint32_t pack(float x, float y) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(x, y);
    std::uint32_t bits;
    memcpy(&bits, &pair, sizeof bits);
    return bits;
  }
};

}  // namespace hadal::kernels::mla
