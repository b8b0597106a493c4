// Random operands made on the device: a layer's weights are a gigabyte, too much to send.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace hadal::bench {

// Finite e4m3 values of every exponent.
cudaError_t fill_random_fp8(std::uint8_t* data, std::size_t count, std::uint32_t seed,
                            cudaStream_t stream);
// Uniform in [low, high).
cudaError_t fill_random_float(float* data, std::size_t count, float low, float high,
                              std::uint32_t seed, cudaStream_t stream);
// Roughly normal with the given deviation, as bf16 bits.
cudaError_t fill_random_bf16(std::uint16_t* data, std::size_t count, float deviation,
                             std::uint32_t seed, cudaStream_t stream);
// Rows of the FP8 cache (kernels/common/kv_layout.h): e4m3 latents, a small scale, bf16 keys.
cudaError_t fill_random_cache_fp8(std::uint8_t* rows, std::size_t tokens, std::uint32_t seed,
                                  cudaStream_t stream);

}  // namespace hadal::bench
