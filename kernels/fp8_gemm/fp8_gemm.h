// Dense FP8 matrix product for few activation rows: out[r, n] = sum_k x[r, k] W[n, k], both sides
// in e4m3 with FP32 scales (128 x 128 blocks of W, 1 x 128 groups of x), bf16 result.
//
// `sm90` reads prepared weights (fp8_layout.h), `generic` the checkpoint's. Safe in a CUDA graph.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/common/launch.h"
#include "kernels/common/weight_stream.h"

namespace hadal::kernels::fp8_gemm {

inline constexpr int kRowsMax = 128;  // more rows belong to a library's kernel

struct Params {
  StreamParams stream;                    // x in tiles
  const std::uint8_t* weights = nullptr;  // [n, k], prepared for sm90
  const float* weight_scale = nullptr;    // [ceil(n / 128), k / 128]
  __nv_bfloat16* out = nullptr;           // [rows, n]
  int rows = 0;                           // 0..kRowsMax
  int n = 0;                              // multiple of 64
};

// REQUIRES: k is a multiple of 256; split_stages 0 or a divisor of stages(k); row_tile and depth of
// `stream` are chosen here. `blocks` is the number of multiprocessors.
cudaError_t launch_sm90(const Params& params, int blocks, LaunchOrder order, cudaStream_t stream);
// REQUIRES: k is a multiple of 128.
cudaError_t launch_generic(const Params& params, cudaStream_t stream);

// The split that is fastest for a shape on `blocks` multiprocessors: a value for split_stages. With
// kFixed never 0, so that a row's result does not depend on the number of rows.
enum class SplitFor { kSpeed, kFixed };
int choose_split(int n, int k, int blocks, SplitFor purpose);

constexpr int stages(int k) {
  return k / (2 * kQuantBlock);
}
constexpr int row_tile_for(int rows) {
  return rows <= 8 ? 8 : rows <= 16 ? 16 : rows <= 32 ? 32 : rows <= 64 ? 64 : 128;
}
constexpr int units(int rows, int n) {
  return n / kSliceRows * ceil_div(rows, row_tile_for(rows));
}
// Floats of StreamParams::partials that sm90 needs; it needs units() tickets.
std::size_t partial_floats(int rows, int n, int k, int split_stages, int blocks);

// Rearranges one [n, k] weight of a checkpoint into `prepared` (prepared_weight_bytes(n, k)).
// REQUIRES: k is a multiple of 128.
cudaError_t launch_prepare_weight(std::uint8_t* prepared, const std::uint8_t* weights, int n, int k,
                                  cudaStream_t stream);

}  // namespace hadal::kernels::fp8_gemm
