// fp8_gemm for every architecture, and the preparation of weights for sm90.
#include "kernels/common/generic_tile.cuh"
#include "kernels/fp8_gemm/fp8_gemm.h"

namespace hadal::kernels::fp8_gemm {
namespace {

__global__ void __launch_bounds__(kGenericThreads)
    fp8_gemm_generic_kernel(const __grid_constant__ Params p) {
  __shared__ GenericShared shared;
  const int column_blocks = ceil_div(p.n, kGenericColumns);
  const int column_begin = static_cast<int>(blockIdx.x) % column_blocks * kGenericColumns;
  const int row_begin = static_cast<int>(blockIdx.x) / column_blocks * kGenericRows;
  const int k = p.stream.k;
  GenericAccumulators acc = {};
  const auto byte_of = [&](int row, int column) {
    return tiled_offset(p.stream.x.scale_stride, row, column);
  };
  generic_tile(
      p.stream.x, k, p.rows - row_begin, [&](int r) { return row_begin + r; }, byte_of,
      p.weights + static_cast<std::size_t>(column_begin) * k, p.n - column_begin,
      p.weight_scale + static_cast<std::size_t>(column_begin / kQuantBlock) * (k / kQuantBlock),
      shared, acc);
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int row = row_begin + generic_row(e);
    if (row >= p.rows) continue;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int column = column_begin + generic_column(j, e);
      if (column < p.n) {
        p.out[static_cast<std::size_t>(row) * p.n + column] = __float2bfloat16(acc[j][e]);
      }
    }
  }
}

struct PrepareParams {
  std::uint8_t* prepared;
  const std::uint8_t* weights;
  int n;
  int k;
};

// One thread a 16-byte chunk: the swizzle moves whole chunks.
__global__ void prepare_weight_kernel(const PrepareParams p) {
  const int chunks = p.k / 16;
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= static_cast<std::size_t>(round_up(p.n, kSliceRows)) * chunks) return;
  const int row = static_cast<int>(i / chunks);
  const int k = static_cast<int>(i % chunks) * 16;
  uint4 chunk = {};
  if (row < p.n) {
    chunk = *reinterpret_cast<const uint4*>(p.weights + static_cast<std::size_t>(row) * p.k + k);
  }
  *reinterpret_cast<uint4*>(p.prepared + prepared_weight_offset(row, k, p.k)) = chunk;
}

}  // namespace

cudaError_t launch_generic(const Params& p, cudaStream_t stream) {
  if (p.rows < 0 || p.rows > kRowsMax || p.stream.k % kQuantBlock != 0) {
    return cudaErrorInvalidValue;
  }
  const int blocks = ceil_div(p.n, kGenericColumns) * ceil_div(p.rows, kGenericRows);
  return launch(fp8_gemm_generic_kernel, p, {static_cast<unsigned>(blocks), kGenericThreads, 0},
                LaunchOrder::kSerial, stream);
}

cudaError_t launch_prepare_weight(std::uint8_t* prepared, const std::uint8_t* weights, int n, int k,
                                  cudaStream_t stream) {
  if (n < 0 || k % kQuantBlock != 0) return cudaErrorInvalidValue;
  constexpr unsigned kThreads = 256;
  const std::size_t chunks = prepared_weight_bytes(n, k) / 16;
  return launch(prepare_weight_kernel, PrepareParams{prepared, weights, n, k},
                {static_cast<unsigned>((chunks + kThreads - 1) / kThreads), kThreads, 0},
                LaunchOrder::kSerial, stream);
}

}  // namespace hadal::kernels::fp8_gemm
