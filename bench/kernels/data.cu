#include <cuda_bf16.h>

#include "kernels/common/kv_layout.h"
#include "kernels/data.h"

namespace hadal::bench {
namespace {

constexpr unsigned kBlocks = 1024;
constexpr unsigned kThreads = 256;

__device__ std::uint32_t hash(std::size_t i, std::uint32_t seed) {
  std::uint32_t x =
      static_cast<std::uint32_t>(i) * 0x9e3779b9u ^ static_cast<std::uint32_t>(i >> 32) ^ seed;
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ (x >> 16);
}

template <typename T, typename Make>
__global__ void fill_kernel(T* data, std::size_t count, Make make) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    data[i] = make(i);
  }
}

template <typename T, typename Make>
cudaError_t fill(T* data, std::size_t count, Make make, cudaStream_t stream) {
  fill_kernel<<<kBlocks, kThreads, 0, stream>>>(data, count, make);
  return cudaGetLastError();
}

__device__ float uniform(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24f;
}

}  // namespace

cudaError_t fill_random_fp8(std::uint8_t* data, std::size_t count, std::uint32_t seed,
                            cudaStream_t stream) {
  return fill(
      data, count,
      [seed] __device__(std::size_t i) {
        const auto byte = static_cast<std::uint8_t>(hash(i, seed));
        const bool nan = (byte & 0x7f) == 0x7f;
        return static_cast<std::uint8_t>(nan ? byte ^ 1 : byte);
      },
      stream);
}

cudaError_t fill_random_cache_fp8(std::uint8_t* rows, std::size_t tokens, std::uint32_t seed,
                                  cudaStream_t stream) {
  constexpr int kWords = kernels::kv_token_bytes(kernels::KvFormat::kFp8) / 4;
  return fill(
      reinterpret_cast<std::uint32_t*>(rows), tokens * kWords,
      [seed] __device__(std::size_t i) -> std::uint32_t {
        const std::uint32_t bits = hash(i, seed);
        const int word = static_cast<int>(i % kWords);
        // Clearing one exponent bit keeps every byte and both halves far from NaN.
        if (word < kernels::kLatent / 4) return bits & 0xbfbfbfbfu;
        if (word == kernels::kFp8ScaleOffset / 4) return __float_as_uint(0.01f);
        return bits & 0xbfffbfffu;
      },
      stream);
}

cudaError_t fill_random_float(float* data, std::size_t count, float low, float high,
                              std::uint32_t seed, cudaStream_t stream) {
  return fill(
      data, count,
      [=] __device__(std::size_t i) { return low + (high - low) * uniform(hash(i, seed)); },
      stream);
}

cudaError_t fill_random_bf16(std::uint16_t* data, std::size_t count, float deviation,
                             std::uint32_t seed, cudaStream_t stream) {
  return fill(
      data, count,
      [=] __device__(std::size_t i) {
        // The sum of three uniform values is close enough to normal; its deviation is 1/2.
        const float sum =
            uniform(hash(i, seed)) + uniform(hash(i, seed + 1)) + uniform(hash(i, seed + 2)) - 1.5f;
        return __bfloat16_as_ushort(__float2bfloat16(2 * deviation * sum));
      },
      stream);
}

}  // namespace hadal::bench
