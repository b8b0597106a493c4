// The ceilings that the kernels' speeds are fractions of: a read stream, a copy, and matrix
// instructions issued back to back on operands that stay in shared memory.
#include <cstdint>

#include "kernels/ceiling_kernels.h"
#include "kernels/common/wgmma_fp8.cuh"

namespace hadal::bench {
namespace {

using kernels::shared_address;

constexpr unsigned kThreads = 512;
constexpr int kUnroll = 8;

struct StreamCopyParams {
  const uint4* from;
  uint4* to;  // null: only read
  std::size_t count;
  unsigned* sink;  // never written, but the compiler cannot know
};

__global__ void __launch_bounds__(kThreads) stream_kernel(const StreamCopyParams p) {
  uint4 folded = {};
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * kThreads;
  std::size_t i = static_cast<std::size_t>(blockIdx.x) * kThreads + threadIdx.x;
  for (; i + (kUnroll - 1) * step < p.count; i += kUnroll * step) {
    uint4 piece[kUnroll];
#pragma unroll
    for (int j = 0; j < kUnroll; ++j) piece[j] = __ldcs(p.from + i + j * step);
#pragma unroll
    for (int j = 0; j < kUnroll; ++j) {
      if (p.to != nullptr) __stcs(p.to + i + j * step, piece[j]);
      folded.x ^= piece[j].x ^ piece[j].y ^ piece[j].z ^ piece[j].w;
    }
  }
  if (p.to == nullptr && folded.x == 0x12345678) *p.sink = folded.x;
}

template <bool kFp8>
__device__ void multiply_wide(float (&d)[64], std::uint64_t a, std::uint64_t b);

#define HADAL_WIDE_REGISTERS                                                                     \
  "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,"  \
  "%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, %64, %65, 1, 1, 1"
#define HADAL_WIDE_8(i)                                                                       \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define HADAL_WIDE_OPERANDS                                                               \
  HADAL_WIDE_8(0), HADAL_WIDE_8(8), HADAL_WIDE_8(16), HADAL_WIDE_8(24), HADAL_WIDE_8(32), \
      HADAL_WIDE_8(40), HADAL_WIDE_8(48), HADAL_WIDE_8(56)

template <>
__device__ void multiply_wide<true>(float (&d)[64], std::uint64_t a, std::uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 " HADAL_WIDE_REGISTERS ";"
               : HADAL_WIDE_OPERANDS
               : "l"(a), "l"(b));
}
template <>
__device__ void multiply_wide<false>(float (&d)[64], std::uint64_t a, std::uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " HADAL_WIDE_REGISTERS
               ", 0, 0;"
               : HADAL_WIDE_OPERANDS
               : "l"(a), "l"(b));
}

struct MatrixParams {
  const std::uint8_t* random;  // 64 KiB
  float* sink;
};

// Two warpgroups, each 64 x 128 of output, operands of 128 bytes a row.
template <bool kFp8>
__global__ void __launch_bounds__(256, 1) matrix_kernel(const MatrixParams p) {
  extern __shared__ std::uint8_t unaligned[];
  std::uint8_t* shared = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
  for (int i = threadIdx.x; i < 32 * 1024 / 16; i += 256) {
    reinterpret_cast<uint4*>(shared)[i] = reinterpret_cast<const uint4*>(p.random)[i];
  }
  kernels::fence_async_proxy();
  __syncthreads();
  const std::uint64_t a = kernels::wgmma_descriptor(shared + threadIdx.x / 128 * 8192);
  const std::uint64_t b = kernels::wgmma_descriptor(shared + 16384);
  float d[64] = {};
  kernels::wgmma_fence();
  kernels::pin_registers(d);
  for (int i = 0; i < kMatrixIterations; ++i) {
    kernels::wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k) multiply_wide<kFp8>(d, a + 2 * k, b + 2 * k);
    kernels::wgmma_commit();
    kernels::wgmma_wait<1>();
  }
  kernels::wgmma_wait<0>();
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 64; ++i) sum += d[i];
  if (sum == 12345.678f) *p.sink = sum;
}

}  // namespace

cudaError_t launch_read(const void* from, std::size_t bytes, void* sink, int blocks,
                        cudaStream_t stream) {
  const StreamCopyParams params{static_cast<const uint4*>(from), nullptr, bytes / 16,
                                static_cast<unsigned*>(sink)};
  stream_kernel<<<static_cast<unsigned>(blocks) * 4, kThreads, 0, stream>>>(params);
  return cudaGetLastError();
}

cudaError_t launch_copy(const void* from, void* to, std::size_t bytes, int blocks,
                        cudaStream_t stream) {
  const StreamCopyParams params{static_cast<const uint4*>(from), static_cast<uint4*>(to),
                                bytes / 16, nullptr};
  stream_kernel<<<static_cast<unsigned>(blocks) * 4, kThreads, 0, stream>>>(params);
  return cudaGetLastError();
}

cudaError_t launch_matrix(MatrixType type, const void* random, void* sink, int blocks,
                          cudaStream_t stream) {
  constexpr unsigned kShared = 33 * 1024;
  const MatrixParams params{static_cast<const std::uint8_t*>(random), static_cast<float*>(sink)};
  const auto grid = static_cast<unsigned>(blocks);
  if (type == MatrixType::kFp8) {
    matrix_kernel<true><<<grid, 256, kShared, stream>>>(params);
  } else {
    matrix_kernel<false><<<grid, 256, kShared, stream>>>(params);
  }
  return cudaGetLastError();
}

}  // namespace hadal::bench
