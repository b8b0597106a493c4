// gate_up, down and combine for every architecture: 16 rows x 128 columns a block, mma.sync.
//
// The correct fallback and the device-side twin of the sm90 kernels. Weights lie as in the
// checkpoint. down writes one FP32 row per row of the plan; combine adds each token's rows by
// expert.
#include <cuda_bf16.h>

#include "kernels/common/generic_tile.cuh"
#include "kernels/common/pdl.cuh"
#include "kernels/moe/moe.h"

namespace hadal::kernels::moe {
namespace {

// Sixteen rows of one row tile.
struct RowGroup {
  int expert;
  int row_begin;
  int rows;  // 0: nothing to do
};

__device__ RowGroup row_group(const Plan& plan, int tile_index, int group) {
  if (tile_index >= plan.counts[0]) return {0, 0, 0};
  const RowTile tile = plan.tiles[tile_index];
  const int rows = min(kGenericRows, tile.rows - group * kGenericRows);
  return {tile.expert, tile.row_begin + group * kGenericRows, rows > 0 ? rows : 0};
}

// Largest |h| of each of the tile's 16 rows over its 128 columns, in `amax`.
__device__ void row_amax(const GenericAccumulators& h, float* amax) {
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float largest = 0.0f;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      largest = fmaxf(largest, fmaxf(fabsf(h[j][2 * half]), fabsf(h[j][2 * half + 1])));
    }
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 2));
    if (lane % 4 == 0) amax[warp * kGenericRows + lane / 4 + 8 * half] = largest;
  }
  __syncthreads();
}

__device__ void quantise_rows(const Hidden& hidden, const RowGroup& group, int channel_block,
                              const GenericAccumulators& h, const float* amax) {
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int row = generic_row(e);
    if (row >= group.rows) continue;
    float largest = kQuantAmaxMin;
    for (int warp = 0; warp < 4; ++warp) largest = fmaxf(largest, amax[warp * kGenericRows + row]);
    const float scale = largest / kFp8Max;
    const float inverse = 1.0f / scale;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int channel = channel_block * kQuantBlock + generic_column(j, e);
      hidden.data[hidden_offset(hidden, group.row_begin + row, channel)] =
          to_fp8(h[j][e] * inverse);
    }
    if (threadIdx.x < 32 && threadIdx.x % 4 == 0 && e % 2 == 0) {
      hidden.scale[channel_block * hidden.rows_capacity + group.row_begin + row] = scale;
    }
  }
}

__global__ void __launch_bounds__(kGenericThreads)
    gate_up_generic_kernel(const __grid_constant__ GateUpParams p) {
  __shared__ GenericShared shared;
  __shared__ float amax[4 * kGenericRows];
  const int channel_blocks = p.shape.intermediate / kQuantBlock;
  const int channel_block = static_cast<int>(blockIdx.x) % channel_blocks;
  const int k = p.shape.hidden;
  for (int g = 0; g < p.stream.row_tile; g += kGenericRows) {
    const RowGroup group =
        row_group(p.plan, static_cast<int>(blockIdx.x) / channel_blocks, g / kGenericRows);
    if (group.rows == 0) return;
    const auto source_row = [&](int r) { return p.plan.rows[group.row_begin + r].token; };
    const auto byte_of = [&](int row, int column) {
      return static_cast<std::size_t>(row) * k + column;
    };
    GenericAccumulators product[2] = {};
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const std::size_t block =
          static_cast<std::size_t>(2 * group.expert + part) * channel_blocks + channel_block;
      generic_tile(p.stream.x, k, group.rows, source_row, byte_of,
                   p.weights.data + block * kQuantBlock * k, kGenericColumns,
                   p.weights.scale + block * (k / kQuantBlock), shared, product[part]);
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float gate = product[0][j][e];
        product[0][j][e] = gate / (1.0f + __expf(-gate)) * product[1][j][e];
      }
    }
    row_amax(product[0], amax);
    quantise_rows(p.hidden, group, channel_block, product[0], amax);
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kGenericThreads)
    down_generic_kernel(const __grid_constant__ DownParams p) {
  __shared__ GenericShared shared;
  const int k = p.shape.intermediate;
  const int column_blocks = ceil_div(p.shape.hidden, kGenericColumns);
  const int column_block = static_cast<int>(blockIdx.x) % column_blocks;
  for (int g = 0; g < p.row_tile; g += kGenericRows) {
    const RowGroup group =
        row_group(p.plan, static_cast<int>(blockIdx.x) / column_blocks, g / kGenericRows);
    if (group.rows == 0) return;
    const std::size_t row = static_cast<std::size_t>(group.expert) * p.shape.hidden +
                            static_cast<std::size_t>(column_block) * kGenericColumns;
    const std::size_t scale_row =
        static_cast<std::size_t>(group.expert) * column_blocks + column_block;
    GenericAccumulators acc = {};
    const auto byte_of = [&](int h_row, int channel) {
      return hidden_offset(p.hidden, h_row, channel);
    };
    generic_tile(
        Fp8Rows{p.hidden.data, p.hidden.scale, p.hidden.rows_capacity}, k, group.rows,
        [&](int r) { return group.row_begin + r; }, byte_of, p.weights.data + row * k,
        p.shape.hidden - column_block * kGenericColumns,
        p.weights.scale + scale_row * (k / kQuantBlock), shared, acc);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (generic_row(e) >= group.rows) continue;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int column = column_block * kGenericColumns + generic_column(j, e);
        if (column < p.shape.hidden) {
          p.expert_out[static_cast<std::size_t>(group.row_begin + generic_row(e)) * p.shape.hidden +
                       column] = acc[j][e];
        }
      }
    }
    __syncthreads();
  }
}

// One block a token; rows in the order of their experts.
constexpr int kCombineThreads = 256;
__global__ void __launch_bounds__(kCombineThreads)
    combine_kernel(const __grid_constant__ DownParams p) {
  wait_for_predecessor();
  let_successor_start();
  const int token = static_cast<int>(blockIdx.x);
  const int per_token = p.shape.rows_per_token();
  for (int column = threadIdx.x * 4; column < p.shape.hidden; column += kCombineThreads * 4) {
    float4 parts[kTopKMax + 1];
    float weights[kTopKMax + 1];
#pragma unroll
    for (int j = 0; j <= kTopKMax; ++j) {
      const int row = j < per_token ? p.plan.token_rows[token * per_token + j] : -1;
      weights[j] = row < 0 ? 0.0f : p.plan.rows[row].weight;
      parts[j] = row < 0
                     ? float4{}
                     : *reinterpret_cast<const float4*>(
                           p.expert_out + static_cast<std::size_t>(row) * p.shape.hidden + column);
    }
    float4 sum = {};
#pragma unroll
    for (int j = 0; j <= kTopKMax; ++j) {
      sum.x += weights[j] * parts[j].x;
      sum.y += weights[j] * parts[j].y;
      sum.z += weights[j] * parts[j].z;
      sum.w += weights[j] * parts[j].w;
    }
    __align__(8) const __nv_bfloat162 packed[2] = {__floats2bfloat162_rn(sum.x, sum.y),
                                                   __floats2bfloat162_rn(sum.z, sum.w)};
    *reinterpret_cast<uint2*>(p.out + static_cast<std::size_t>(token) * p.shape.hidden + column) =
        *reinterpret_cast<const uint2*>(packed);
  }
}

bool legal_tile(int row_tile) {
  return row_tile == 8 || row_tile == 16 || row_tile == 32 || row_tile == 64;
}

}  // namespace

cudaError_t launch_gate_up_generic(const GateUpParams& p, cudaStream_t stream) {
  if (p.shape.hidden % kQuantBlock != 0 || p.shape.intermediate % kQuantBlock != 0 ||
      p.tokens < 0 || p.tokens > kTokensMax || !legal_tile(p.stream.row_tile)) {
    return cudaErrorInvalidValue;
  }
  const int blocks =
      tiles_max(p.shape, p.tokens, p.stream.row_tile) * (p.shape.intermediate / kQuantBlock);
  return launch(gate_up_generic_kernel, p, {static_cast<unsigned>(blocks), kGenericThreads, 0},
                LaunchOrder::kSerial, stream);
}

cudaError_t launch_combine(const DownParams& p, LaunchOrder order, cudaStream_t stream) {
  return launch(combine_kernel, p, {static_cast<unsigned>(p.tokens), kCombineThreads, 0}, order,
                stream);
}

cudaError_t launch_down_generic(const DownParams& p, cudaStream_t stream) {
  if (p.shape.intermediate % kQuantBlock != 0 || p.tokens < 0 || p.tokens > kTokensMax ||
      !legal_tile(p.row_tile)) {
    return cudaErrorInvalidValue;
  }
  const int blocks =
      tiles_max(p.shape, p.tokens, p.row_tile) * ceil_div(p.shape.hidden, kGenericColumns);
  const cudaError_t code =
      launch(down_generic_kernel, p, {static_cast<unsigned>(blocks), kGenericThreads, 0},
             LaunchOrder::kSerial, stream);
  return code != cudaSuccess ? code : launch_combine(p, LaunchOrder::kSerial, stream);
}

}  // namespace hadal::kernels::moe
