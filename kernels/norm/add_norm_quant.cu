// add_norm_quant: residual add, RMS norm and FP8 quantisation in one pass over a row.
//
// One block a token, one thread 8 values (7168 = 896 x 8); the row stays in registers between the
// sum of squares and the output, so each byte moves once.
//
// bytes a token: 3 x 2 h (x, residual in, residual out) + 1.03 h (e4m3, scales) + 2 h (normed, if
//   wanted) = 64.7 KB at h = 7168
// bound: memory from some 200 tokens on; below that the latency of one block, about 2 us
#include "kernels/common/pdl.cuh"
#include "kernels/norm/norm.h"
#include "kernels/norm/row.cuh"

namespace hadal::kernels::norm {
namespace {

__global__ void __launch_bounds__(kHiddenMax / kPiece)
    add_norm_quant_kernel(const __grid_constant__ AddNormQuantParams p) {
  __shared__ float warp_sums[32];
  const int column = static_cast<int>(threadIdx.x) * kPiece;
  const std::size_t offset = static_cast<std::size_t>(blockIdx.x) * p.hidden + column;
  const Piece weight = load_piece(p.weight + column);
  wait_for_predecessor();
  let_successor_start();

  Piece piece = load_piece(p.x + offset);
  if (p.residual != nullptr) {
    const Piece residual = load_piece(p.residual + offset);
#pragma unroll
    for (int i = 0; i < kPiece; ++i) piece.value[i] += residual.value[i];
    *reinterpret_cast<uint4*>(p.residual + offset) = round_piece(piece);
  }

  const float warp_sum = lanes_sum<32>(square_sum(piece));
  if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = warp_sum;
  __syncthreads();
  const int warps = static_cast<int>(blockDim.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float sum = lanes_sum<32>(lane < warps ? warp_sums[lane] : 0.0f);
  const float inverse_rms = rsqrtf(sum / static_cast<float>(p.hidden) + p.epsilon);

  const uint4 normed = normalise(piece, inverse_rms, weight);
  if (p.normed != nullptr) *reinterpret_cast<uint4*>(p.normed + offset) = normed;
  if (p.quantised.data != nullptr) {
    store_quantised(p.quantised, piece, static_cast<int>(blockIdx.x), column, p.hidden);
  }
}

}  // namespace

cudaError_t launch_add_norm_quant(const AddNormQuantParams& p, LaunchOrder order,
                                  cudaStream_t stream) {
  if (p.tokens < 0 || p.hidden <= 0 || p.hidden % 256 != 0 || p.hidden > kHiddenMax ||
      (p.quantised.data != nullptr && p.quantised.scale_stride < p.tokens)) {
    return cudaErrorInvalidValue;
  }
  return launch(add_norm_quant_kernel, p,
                {static_cast<unsigned>(p.tokens), static_cast<unsigned>(p.hidden / kPiece), 0},
                order, stream);
}

}  // namespace hadal::kernels::norm
