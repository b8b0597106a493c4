// The kernels behind measure_ceilings(). Free of host libraries, so that the CUDA compiler reads
// it.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace hadal::bench {

// One pass over `bytes`; `sink` is never written, but the compiler cannot know.
cudaError_t launch_read(const void* from, std::size_t bytes, void* sink, int blocks,
                        cudaStream_t stream);
cudaError_t launch_copy(const void* from, void* to, std::size_t bytes, int blocks,
                        cudaStream_t stream);

enum class MatrixType { kBf16, kFp8 };
inline constexpr int kMatrixIterations = 2000;
// Multiply-adds of one block: 2 warpgroups, 4 instructions of 64 x 128 x k an iteration.
constexpr double matrix_macs(MatrixType type) {
  return 2.0 * 4 * 64 * 128 * (type == MatrixType::kFp8 ? 32 : 16) * kMatrixIterations;
}
// `random`: at least 32 KiB of operands.
cudaError_t launch_matrix(MatrixType type, const void* random, void* sink, int blocks,
                          cudaStream_t stream);

}  // namespace hadal::bench
