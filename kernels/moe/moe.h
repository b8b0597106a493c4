// The routed and shared experts of one MoE layer, FP8 weights with a scale per 128 x 128 block.
//
//   plan       routing -> rows sorted by expert, tiles of rows (what the other kernels work on)
//   gate_up    h = quantise(silu(x W_gate) * (x W_up))      per row of the plan
//   down       out[t] = sum over the token's experts, in index order, of weight * (h W_down)
//
// An expert no token chose costs nothing: it has no row tile. The shared expert is one more expert,
// index `routed_experts`, that every active token chooses with weight 1. Every launcher is safe in
// a CUDA graph: grids depend on the batch bucket only, work lists come from device memory.
//
// `generic` kernels run on every architecture (mma.sync, weights as in the checkpoint); `sm90` ones
// on Hopper (weights prepared, fp8_layout.h). Both read and write the same activations.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/common/launch.h"
#include "kernels/common/weight_stream.h"

namespace hadal::kernels::moe {

inline constexpr int kTokensMax = 2048;         // of one launch
inline constexpr int kDownSm90TokensMax = 256;  // up to here all tokens' sums stay in shared memory
inline constexpr int kExpertsMax = 1023;        // with the shared one
inline constexpr int kTopKMax = 8;

struct Shape {
  int routed_experts = 0;
  int top_k = 0;
  int hidden = 0;        // multiple of 128; of 64 for down
  int intermediate = 0;  // of this rank; multiple of 128, for down_sm90 of 256

  constexpr int experts() const { return routed_experts + 1; }
  constexpr int rows_per_token() const { return top_k + 1; }
};

// Experts that `tokens` tokens can touch at most, the shared one included.
constexpr int experts_touched_max(const Shape& shape, int tokens) {
  const int chosen = tokens * shape.top_k;
  return (chosen < shape.routed_experts ? chosen : shape.routed_experts) + (tokens > 0 ? 1 : 0);
}
// Rows of the plan: each expert's rows start at a multiple of 8.
constexpr int rows_max(const Shape& shape, int tokens) {
  return round_up(tokens * shape.rows_per_token() + 7 * experts_touched_max(shape, tokens), 8);
}
constexpr int tiles_max(const Shape& shape, int tokens, int row_tile) {
  return tokens * shape.rows_per_token() / row_tile + experts_touched_max(shape, tokens);
}
// The tile that serves a batch best: as many rows as an expert can have, at most 32; at many tokens
// 64, so that weights are read once.
constexpr int row_tile_for(int tokens) {
  return tokens <= 8 ? 8 : tokens <= 16 ? 16 : tokens <= kDownSm90TokensMax ? 32 : 64;
}

struct Routing {
  // [tokens, top_k]; the ids of one token differ. A token whose first id is negative is inactive.
  const int* expert_id = nullptr;
  const float* weight = nullptr;  // [tokens, top_k]
  int tokens = 0;                 // of the batch bucket, inactive ones included
};

struct RowTile {
  int expert;
  int row_begin;  // multiple of 8
  int rows;       // 1..row_tile
  int reserved;
};
struct RowInfo {
  int token;     // negative: a row of padding
  float weight;  // routing weight
};

// What `plan` makes. Rows are sorted by expert, then token.
struct Plan {
  int* counts = nullptr;      // [2]: row tiles, rows with their padding
  RowTile* tiles = nullptr;   // [tiles_max]
  RowInfo* rows = nullptr;    // [rows_max]
  int* token_rows = nullptr;  // [tokens, rows_per_token]: the token's rows by expert, or negative
};

struct PlanParams {
  Shape shape;
  Routing routing;
  int row_tile = 0;  // 8, 16, 32 or 64
  Plan plan;
};
cudaError_t launch_plan(const PlanParams& params, LaunchOrder order, cudaStream_t stream);

// The hidden activations between gate_up and down, quantised in groups of 128.
// Element (row, channel): byte hidden_offset() of `data`; its factor scale[channel / 128, row].
struct Hidden {
  std::uint8_t* data = nullptr;  // in tiles (fp8_layout.h)
  float* scale = nullptr;        // [intermediate / 128, rows_capacity]
  int rows_capacity = 0;         // multiple of 8, at least rows_max
};
HADAL_HOST_DEVICE constexpr std::size_t hidden_offset(const Hidden& h, int row, int channel) {
  return tiled_offset(h.rows_capacity, row, channel);
}

struct ExpertWeights {
  // Generic: [experts, n, k] as in the checkpoint. sm90: each expert prepared (fp8_layout.h).
  const std::uint8_t* data = nullptr;
  const float* scale = nullptr;  // [experts, n / 128, k / 128]
};

struct GateUpParams {
  StreamParams stream;    // x: [tokens, hidden]; k = hidden
  ExpertWeights weights;  // n = 2 * intermediate: gate, then up
  Shape shape;
  Plan plan;
  int tokens = 0;
  Hidden hidden;
};
cudaError_t launch_gate_up_generic(const GateUpParams& params, cudaStream_t stream);
// `blocks` is the number of multiprocessors. stream.split_stages: 0, or a divisor of hidden / 128.
cudaError_t launch_gate_up_sm90(const GateUpParams& params, int blocks, LaunchOrder order,
                                cudaStream_t stream);
// The split that is fastest: with one token a few units share all multiprocessors, and cutting them
// alike saves a second round of adding segments.
constexpr int gate_up_split_for(int tokens, const Shape& shape) {
  return tokens == 1 && shape.hidden % (8 * kQuantBlock) == 0 ? 8 : 0;
}
// Floats of StreamParams::partials and entries of StreamParams::tickets that gate_up_sm90 needs.
std::size_t gate_up_partial_floats(const Shape& shape, int tokens, int row_tile, int split_stages,
                                   int blocks);
constexpr std::size_t gate_up_tickets(const Shape& shape, int tokens, int row_tile) {
  return static_cast<std::size_t>(tiles_max(shape, tokens, row_tile)) *
         static_cast<std::size_t>(shape.intermediate / kQuantBlock);
}

struct DownParams {
  Hidden hidden;
  ExpertWeights weights;  // n = hidden size, k = intermediate
  Shape shape;
  Plan plan;
  int tokens = 0;
  int row_tile = 0;
  int depth = 0;                 // set by the launcher
  float* expert_out = nullptr;   // [rows_max, hidden]; sm90: only above kDownSm90TokensMax
  __nv_bfloat16* out = nullptr;  // [tokens, hidden]; zero for inactive tokens
};
cudaError_t launch_down_generic(const DownParams& params, cudaStream_t stream);
// out[t] = the sum over expert_out, by expert: the second half of both.
cudaError_t launch_combine(const DownParams& params, LaunchOrder order, cudaStream_t stream);
// Above kDownSm90TokensMax tokens two kernels, which pass the rows of all experts through
// expert_out.
cudaError_t launch_down_sm90(const DownParams& params, LaunchOrder order, cudaStream_t stream);

}  // namespace hadal::kernels::moe
