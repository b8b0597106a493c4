// gate_up_sm90: h = quantise(silu(x W_gate^T) * (x W_up^T)), rows grouped by expert.
//
// A unit is one row tile of one expert times 128 channels: 128 gate rows and the 128 up rows of the
// same channels, so that SwiGLU is local to a thread and the 128 channels of one scale of h are
// local to a block.
//
//   slices of a stage:   0: gate rows 0-63    1: gate rows 64-127    2: up 0-63    3: up 64-127
//   warpgroup 0 multiplies slices 0 and 2, warpgroup 1 slices 1 and 3
//
// shared: 32 KiB of weights a slot + row_tile * 128 B of x; 6 slots at 32 rows = 216 KiB
// bytes:  3.67 MB an expert for one TP8 rank (512 x 7168); x and h come from and go to L2
// bound:  2 * rows FLOP a byte, so memory up to about 200 rows an expert
#include <cuda_bf16.h>

#include "kernels/common/fp8.cuh"
#include "kernels/common/weight_stream.cuh"
#include "kernels/moe/moe.h"

namespace hadal::kernels::moe {
namespace {

struct GateUpPolicy {
  using Params = GateUpParams;
  static constexpr int kSlices = 4;
  static constexpr int kKBlocksPerStage = 1;
  static constexpr bool kWeightsBeforeWait = false;  // which experts: the plan says
  static constexpr bool kTiledRows = false;          // rows are gathered by token
  static constexpr bool kSumWarpgroups = false;      // they hold different channels
  static constexpr int kColumnsMost = 64;

  struct Unit {
    int expert;
    int row_begin;
    int rows;
    int channel_block;
    int plan_rows;
  };

  static __device__ int channel_blocks(const Params& p) {
    return p.shape.intermediate / kQuantBlock;
  }
  static __device__ int unit_count(const Params& p) { return p.plan.counts[0] * channel_blocks(p); }
  static __device__ Unit unit(const Params& p, int index) {
    const RowTile tile = p.plan.tiles[index / channel_blocks(p)];
    return {tile.expert, tile.row_begin, tile.rows, index % channel_blocks(p), p.plan.counts[1]};
  }
  static __device__ const std::uint8_t* weights(const Params& p, const Unit& unit, int slice) {
    const int row = (slice / 2) * p.shape.intermediate + unit.channel_block * kQuantBlock +
                    (slice % 2) * kSliceRows;
    const std::size_t expert_rows =
        static_cast<std::size_t>(unit.expert) * 2 * p.shape.intermediate;
    return p.weights.data + (expert_rows + row) * p.shape.hidden;
  }
  static __device__ const float* weight_scale(const Params& p, const Unit& unit, int slice) {
    const int blocks = channel_blocks(p);
    const int block = unit.expert * 2 * blocks + (slice / 2) * blocks + unit.channel_block;
    return p.weights.scale + static_cast<std::size_t>(block) * (p.shape.hidden / kQuantBlock);
  }
  static __device__ int source_row(const Params& p, const Unit& unit, int row) {
    return p.plan.rows[unit.row_begin + row].token;
  }
  static __device__ std::size_t partial_offset(const Params& p, const Unit& unit, int ordinal) {
    const std::size_t group =
        static_cast<std::size_t>(ordinal) * channel_blocks(p) + unit.channel_block;
    return (group * unit.plan_rows + unit.row_begin) * (kSlices * kSliceRows);
  }

  // Largest |h| of each column (row of the plan) over the block's 128 channels.
  template <int kColumns>
  static __device__ void column_amax(const float (&h)[kColumns / 2], float* scratch,
                                     float (&amax)[kColumns / 4]) {
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32;
#pragma unroll
    for (int c = 0; c < kColumns / 4; ++c) {
      const int i = (c / 2) * 4 + c % 2;
      float largest = fmaxf(fabsf(h[i]), fabsf(h[i + 2]));
#pragma unroll
      for (int step = 4; step < 32; step *= 2) {
        largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, step));
      }
      if (lane < 4) scratch[warp * kColumnsMost + (c / 2) * 8 + lane * 2 + c % 2] = largest;
    }
    named_barrier(kConsumerBarrier, kConsumerThreads);
#pragma unroll
    for (int c = 0; c < kColumns / 4; ++c) {
      const int column = (c / 2) * 8 + (lane % 4) * 2 + c % 2;
      amax[c] = 0.0f;
#pragma unroll
      for (int w = 0; w < kConsumerWarps; ++w) {
        amax[c] = fmaxf(amax[c], scratch[w * kColumnsMost + column]);
      }
    }
    named_barrier(kConsumerBarrier, kConsumerThreads);
  }

  template <int kColumns>
  static __device__ void finish(const Params& p, const Unit& unit, float (&acc)[kColumns],
                                float* scratch) {
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32;
    float h[kColumns / 2];
#pragma unroll
    for (int i = 0; i < kColumns / 2; ++i) {
      h[i] = acc[i] / (1.0f + __expf(-acc[i])) * acc[kColumns / 2 + i];
    }
    float amax[kColumns / 4];
    column_amax<kColumns>(h, scratch, amax);
    const int channel = unit.channel_block * kQuantBlock + warp * 16 + lane / 4;
#pragma unroll
    for (int c = 0; c < kColumns / 4; ++c) {
      const int column = (c / 2) * 8 + (lane % 4) * 2 + c % 2;
      if (column >= unit.rows) continue;
      const int i = (c / 2) * 4 + c % 2;
      const int row = unit.row_begin + column;
      const float scale = fmaxf(amax[c], kQuantAmaxMin) / kFp8Max;
      const float inverse = 1.0f / scale;
      p.hidden.data[hidden_offset(p.hidden, row, channel)] = to_fp8(h[i] * inverse);
      p.hidden.data[hidden_offset(p.hidden, row, channel + 8)] = to_fp8(h[i + 2] * inverse);
      if (warp == 0 && lane < 4) {
        p.hidden.scale[unit.channel_block * p.hidden.rows_capacity + row] = scale;
      }
    }
  }
};

bool legal(const GateUpParams& p) {
  const int k_blocks = p.shape.hidden / kQuantBlock;
  return p.shape.hidden % kQuantBlock == 0 && p.shape.intermediate % kQuantBlock == 0 &&
         p.stream.k == p.shape.hidden && p.tokens >= 0 && p.tokens <= kTokensMax &&
         p.hidden.rows_capacity >= rows_max(p.shape, p.tokens) && p.hidden.rows_capacity % 8 == 0 &&
         p.stream.split_stages >= 0 &&
         (p.stream.split_stages == 0 || k_blocks % p.stream.split_stages == 0);
}

}  // namespace

std::size_t gate_up_partial_floats(const Shape& shape, int tokens, int row_tile, int split_stages,
                                   int blocks) {
  const int stages = shape.hidden / kQuantBlock;
  const std::size_t rows = static_cast<std::size_t>(rows_max(shape, tokens));
  const std::size_t per_ordinal =
      rows * static_cast<std::size_t>(shape.intermediate / kQuantBlock) * 4 * kSliceRows;
  if (split_stages > 0) return per_ordinal * static_cast<std::size_t>(stages / split_stages);
  // With u units a unit has at most blocks / u + 2 segments, and u units have at most u * row_tile
  // / channel blocks rows of padding included: fewer units, more segments, but fewer rows.
  const std::size_t few_units =
      static_cast<std::size_t>(blocks) * static_cast<std::size_t>(row_tile) * 4 * kSliceRows;
  return few_units + 2 * per_ordinal;
}

cudaError_t launch_gate_up_sm90(const GateUpParams& params, int blocks, LaunchOrder order,
                                cudaStream_t stream) {
  if (!legal(params)) return cudaErrorInvalidValue;
  if (params.tokens == 0) return cudaSuccess;
  return launch_weight_stream<GateUpPolicy>(params, kConsumerWarps * GateUpPolicy::kColumnsMost * 4,
                                            blocks, order, stream);
}

}  // namespace hadal::kernels::moe
