// plan: sorts (token, expert) pairs by expert and cuts each expert's rows into tiles.
//
// One block. Every expert has a bit mask of the tokens that chose it, in shared memory; a pair's
// place among its expert's rows is the number of lower bits set. So the order is by token whatever
// order the threads run in, and no sort is needed.
//
// shared: masks (experts x tokens / 32 words; 257 x 8 words = 8 KiB at 256 tokens) + 2 offsets an
// expert bound: latency; one pass over tokens * 9 pairs
#include "kernels/common/pdl.cuh"
#include "kernels/moe/moe.h"

namespace hadal::kernels::moe {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;

struct PlanShared {
  __device__ PlanShared(const PlanParams& params, unsigned* shared)
      : words((params.routing.tokens + 31) / 32), masks(shared) {
    row_offset = reinterpret_cast<int*>(masks + params.shape.experts() * words);
    warp_sums = row_offset + params.shape.experts();
  }
  __device__ unsigned* mask(int expert) const { return masks + expert * words; }

  int words;
  unsigned* masks;  // [experts, words]
  int* row_offset;  // [experts]
  int* warp_sums;   // [2, kWarps]
};

__device__ void mark_choices(const PlanParams& params, const PlanShared& shared) {
  for (int i = threadIdx.x; i < params.shape.experts() * shared.words; i += kThreads) {
    shared.masks[i] = 0;
  }
  __syncthreads();
  const int top_k = params.shape.top_k;
  for (int i = threadIdx.x; i < params.routing.tokens * top_k; i += kThreads) {
    const int token = i / top_k;
    if (params.routing.expert_id[token * top_k] < 0) continue;
    const unsigned bit = 1u << (token % 32);
    atomicOr(&shared.mask(params.routing.expert_id[i])[token / 32], bit);
    if (i % top_k == 0) atomicOr(&shared.mask(params.shape.routed_experts)[token / 32], bit);
  }
  __syncthreads();
}

// Sum of `value` over the threads before this one.
__device__ int exclusive_scan(int value, int* warp_sums) {
  const int lane = threadIdx.x % 32;
  int inclusive = value;
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const int other = __shfl_up_sync(~0u, inclusive, step);
    if (lane >= step) inclusive += other;
  }
  if (lane == 31) warp_sums[threadIdx.x / 32] = inclusive;
  __syncthreads();
  int before = 0;
  for (int warp = 0; warp < static_cast<int>(threadIdx.x) / 32; ++warp) before += warp_sums[warp];
  return before + inclusive - value;
}

__device__ void write_tiles(const PlanParams& params, const PlanShared& shared) {
  const int expert = threadIdx.x;
  int rows = 0;
  if (expert < params.shape.experts()) {
    for (int w = 0; w < shared.words; ++w) rows += __popc(shared.mask(expert)[w]);
  }
  const int tiles = ceil_div(rows, params.row_tile);
  const int row_begin = exclusive_scan(round_up(rows, 8), shared.warp_sums);
  const int tile_begin = exclusive_scan(tiles, shared.warp_sums + kWarps);
  if (expert < params.shape.experts()) shared.row_offset[expert] = row_begin;
  for (int t = 0; t < tiles; ++t) {
    params.plan.tiles[tile_begin + t] = {expert, row_begin + t * params.row_tile,
                                         min(params.row_tile, rows - t * params.row_tile), 0};
  }
  for (int row = rows; row < round_up(rows, 8); ++row) {
    params.plan.rows[row_begin + row] = {-1, 0.0f};
  }
  if (threadIdx.x == kThreads - 1) {
    params.plan.counts[0] = tile_begin + tiles;
    params.plan.counts[1] = row_begin + round_up(rows, 8);
  }
  __syncthreads();
}

// Position of `token` among the rows of the plan.
__device__ int row_of(const PlanShared& shared, int expert, int token) {
  const unsigned* mask = shared.mask(expert);
  int before = 0;
  for (int w = 0; w < token / 32; ++w) before += __popc(mask[w]);
  return shared.row_offset[expert] + before + __popc(mask[token / 32] & ((1u << (token % 32)) - 1));
}

__device__ void write_rows(const PlanParams& params, const PlanShared& shared) {
  const Routing& routing = params.routing;
  const int top_k = params.shape.top_k;
  const int per_token = params.shape.rows_per_token();
  for (int i = threadIdx.x; i < routing.tokens * per_token; i += kThreads) {
    const int token = i / per_token;
    const int choice = i % per_token;
    const int* ids = routing.expert_id + token * top_k;
    if (ids[0] < 0) {
      params.plan.token_rows[i] = -1;
      continue;
    }
    const bool is_shared = choice == top_k;
    const int expert = is_shared ? params.shape.routed_experts : ids[choice];
    int rank = 0;
    for (int k = 0; k < top_k; ++k) rank += ids[k] < expert;
    const int row = row_of(shared, expert, token);
    params.plan.rows[row] = {token, is_shared ? 1.0f : routing.weight[token * top_k + choice]};
    params.plan.token_rows[token * per_token + rank] = row;
  }
}

__global__ void __launch_bounds__(kThreads) plan_kernel(const PlanParams params) {
  extern __shared__ unsigned shared_words[];
  wait_for_predecessor();
  let_successor_start();
  const PlanShared shared(params, shared_words);
  mark_choices(params, shared);
  write_tiles(params, shared);
  write_rows(params, shared);
}

bool legal(const PlanParams& params) {
  const int tile = params.row_tile;
  return params.shape.experts() <= kExpertsMax && params.shape.top_k >= 1 &&
         params.shape.top_k <= kTopKMax && params.routing.tokens >= 0 &&
         params.routing.tokens <= kTokensMax &&
         (tile == 8 || tile == 16 || tile == 32 || tile == 64);
}

}  // namespace

cudaError_t launch_plan(const PlanParams& params, LaunchOrder order, cudaStream_t stream) {
  if (!legal(params)) return cudaErrorInvalidValue;
  const int words = ceil_div(params.routing.tokens, 32);
  const std::size_t cells =
      static_cast<std::size_t>(params.shape.experts()) * static_cast<std::size_t>(words + 1) +
      2 * kWarps;
  return launch(plan_kernel, params, {1, kThreads, static_cast<unsigned>(cells * 4)}, order,
                stream);
}

}  // namespace hadal::kernels::moe
