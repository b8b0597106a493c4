// combine: out[column, :] = sum_i 2^(m_i - M) O_i / sum_i 2^(m_i - M) l_i over a split row's
// partials in the order of pages, M being the largest m_i.
//
// A column is the work of a whole block where there are few columns and many partials, and of one
// warp where there are many columns. A channel's sum is the same either way.
//
// bytes: 2 KiB a column and partial, read once, mostly from L2 where decode left them
#include "kernels/common/pdl.cuh"
#include "kernels/mla/mla.h"

namespace hadal::kernels::mla {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;

struct ColumnPartials {
  const float4* out;    // the first partial's 512 channels
  const float2* stats;  // of the first partial
  int count;
  int stride;  // between partials, in columns
};

__device__ __forceinline__ float2 stats_of(const ColumnPartials& c, int partial) {
  const float2 none = {-INFINITY, 0.0f};
  return partial < c.count ? c.stats[static_cast<std::size_t>(partial) * c.stride] : none;
}

// `mine` are the statistics of the lane's own partial, the first of every 32nd.
__device__ float largest_weight(const ColumnPartials& c, float2 mine) {
  float largest = mine.x;
  for (int i = threadIdx.x % 32 + 32; i < c.count; i += 32) {
    largest = fmaxf(largest, stats_of(c, i).x);
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, distance));
  }
  return largest == -INFINITY ? 0.0f : largest;
}

__device__ __forceinline__ void add_scaled(float4& sum, float factor, const float4& part) {
  sum.x = __fmaf_rn(factor, part.x, sum.x);
  sum.y = __fmaf_rn(factor, part.y, sum.y);
  sum.z = __fmaf_rn(factor, part.z, sum.z);
  sum.w = __fmaf_rn(factor, part.w, sum.w);
}

__device__ __forceinline__ void store(__nv_bfloat16* to, const float4& x, float factor) {
  const __nv_bfloat162 pairs[2] = {__floats2bfloat162_rn(x.x * factor, x.y * factor),
                                   __floats2bfloat162_rn(x.z * factor, x.w * factor)};
  uint2 bits;
  memcpy(&bits, pairs, sizeof bits);
  *reinterpret_cast<uint2*>(to) = bits;
}

// `kColumnWarps` warps take a column; a thread holds every (32 kColumnWarps)-th group of 4 channels
// from `first` on. Sums are fetched a batch ahead of the statistics they are scaled by.
template <int kColumnWarps>
struct ColumnSums {
  static constexpr int kStep = 32 * kColumnWarps;
  static constexpr int kGroups = kLatent / 4 / kStep;
  static constexpr int kBatch = 16 / kGroups;
  static_assert(32 % kBatch == 0, "a warp's statistics serve whole batches");

  float4 parts[kBatch][kGroups];

  __device__ void fetch(const ColumnPartials& c, int begin, int first) {
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      if (begin + i >= c.count) continue;
      const float4* part =
          c.out + static_cast<std::size_t>(begin + i) * c.stride * (kLatent / 4) + first;
#pragma unroll
      for (int g = 0; g < kGroups; ++g) parts[i][g] = part[g * kStep];
    }
  }

  __device__ void combine(const ColumnPartials& c, int first, __nv_bfloat16* to) {
    fetch(c, 0, first);
    const int lane = threadIdx.x % 32;
    float2 stats = stats_of(c, lane);
    const float largest = largest_weight(c, stats);
    float4 sums[kGroups] = {};
    float weight_sum = 0.0f;
    for (int begin = 0; begin < c.count; begin += kBatch) {
      if (begin > 0) fetch(c, begin, first);
      if (begin > 0 && begin % 32 == 0) stats = stats_of(c, begin + lane);
      const float mine = exp2f(stats.x - largest);
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const float factor = __shfl_sync(~0u, mine, (begin + i) % 32);
        const float weight = __shfl_sync(~0u, stats.y, (begin + i) % 32);
        if (begin + i >= c.count) continue;
        weight_sum = __fmaf_rn(factor, weight, weight_sum);
#pragma unroll
        for (int g = 0; g < kGroups; ++g) add_scaled(sums[g], factor, parts[i][g]);
      }
    }
    const float inverse = weight_sum == 0.0f ? 0.0f : __frcp_rn(weight_sum);
#pragma unroll
    for (int g = 0; g < kGroups; ++g) store(to + 4 * (first + g * kStep), sums[g], inverse);
  }
};

template <int kColumnWarps>
__global__ void __launch_bounds__(kThreads) combine_kernel(DecodeParams p) {
  constexpr int kColumnsABlock = kWarps / kColumnWarps;
  const int tile_count = tiles(p.heads, p.queries_max);
  const int columns = tile_columns(p.heads, p.queries_max);
  const int row_columns = p.heads * p.queries_max;
  const int first = static_cast<int>(threadIdx.x) % (32 * kColumnWarps);
  let_successor_start();
  const int items = *p.plan.split_count * row_columns;
  int item = static_cast<int>(blockIdx.x) * kColumnsABlock +
             static_cast<int>(threadIdx.x) / (32 * kColumnWarps);
  SplitRow row = {};
  if (item < items) row = p.plan.split_rows[item / row_columns];
  wait_for_predecessor();  // the plan is older, the partial sums are not
  while (item < items) {
    const int column = item % row_columns;
    if (column < row.token_count * p.heads) {
      const std::size_t place =
          (static_cast<std::size_t>(row.partial_begin) * tile_count + column / columns) * columns +
          column % columns;
      const std::size_t q_row = static_cast<std::size_t>(row.token_begin) * p.heads + column;
      ColumnSums<kColumnWarps>().combine(
          {reinterpret_cast<const float4*>(p.partials.out) + place * (kLatent / 4),
           p.partials.stats + place, row.partial_count, tile_count * columns},
          first, p.out + q_row * kLatent);
    }
    item += static_cast<int>(gridDim.x) * kColumnsABlock;
    if (item < items) row = p.plan.split_rows[item / row_columns];
  }
}

}  // namespace

cudaError_t launch_combine(const DecodeParams& params, int multiprocessors, LaunchOrder order,
                           cudaStream_t stream) {
  if (!legal(params) || multiprocessors < 1) return cudaErrorInvalidValue;
  if (params.rows == 0) return cudaSuccess;
  constexpr int kBlocksAMultiprocessor = 8;
  const int columns = params.rows * params.heads * params.queries_max;
  const int blocks_max = multiprocessors * kBlocksAMultiprocessor;
  const bool few = columns <= blocks_max;
  const int blocks = few ? columns : min(blocks_max, ceil_div(columns, kWarps));
  return launch(few ? combine_kernel<kWarps> : combine_kernel<1>, params,
                {.blocks = static_cast<unsigned>(blocks), .threads = kThreads}, order, stream);
}

}  // namespace hadal::kernels::mla
