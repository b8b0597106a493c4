// The body shared by the FP8 kernels that read a weight once for a few activation rows: a bulk-copy
// pipeline of weight slices and WGMMA with the weights as the 64-row operand ("swap AB"). sm_90a.
//
// Math, for one unit of `rows` activation rows and kSlices * 64 weight rows:
//   acc[n, r] = sum over K blocks b of  w_scale[n / 128, b] * x_scale[b, r] * (W[n, b] . x[r, b])
// with the products of one 128-wide block summed by the tensor cores and blocks summed in FP32.
//
// Roles (352 threads, 320 where activations lie in tiles):
//   warps 0-7   two consumer warpgroups; warpgroup g multiplies slices g, g + 2, ...
//   warp 8      one lane enqueues bulk copies of weight slices as slots fall free
//   warps 9-10  gather activation rows and scales into the slots with cp.async; or, where the
//               activations lie in tiles, one lane fetches them with bulk copies
//
// Slot:  | weight slices | x tile: k_blocks x row_tile x 128 B | x scales | weight scales | 2
// barriers
//
// A Policy (see moe/gate_up_sm90.cu, fp8_gemm/fp8_gemm_sm90.cu) says what a unit is:
//   Params (with a member `stream`), Unit (with a member `rows`), kSlices, kKBlocksPerStage,
//   kWeightsBeforeWait: weights and units do not depend on the preceding kernel; kTiledRows: the
//   activations lie in tiles and a unit's are those from unit.row_begin on; kSumWarpgroups: both
//   warpgroups hold sums of the same outputs; kColumnsMost: the largest row tile, 64 or 128;
//   unit_count, unit, weights, weight_scale, source_row (where rows are gathered), partial_offset,
//   finish.
#pragma once

#include <cstdint>

#include "kernels/common/async_copy.cuh"
#include "kernels/common/launch.h"
#include "kernels/common/mbarrier.cuh"
#include "kernels/common/pdl.cuh"
#include "kernels/common/weight_stream.h"
#include "kernels/common/wgmma_fp8.cuh"
#include "kernels/common/work_range.cuh"

namespace hadal::kernels {

inline constexpr int kConsumerThreads = 256;
inline constexpr int kConsumerWarps = kConsumerThreads / 32;
inline constexpr int kLoaderThreads = 64;

template <typename Policy>
constexpr int stream_threads() {
  return kConsumerThreads + 32 + (Policy::kTiledRows ? 32 : kLoaderThreads);
}
// cp.async groups that a loader thread keeps in flight. Below the least depth, or a slot that the
// consumers wait for could be held back by one that they have to free first.
inline constexpr int kLoaderLag = kDepthMin - 1;
inline constexpr int kConsumerBarrier = 1;

template <typename Policy>
struct StreamLayout {
  __device__ StreamLayout(const StreamParams& params, std::uint8_t* shared)
      : shape{Policy::kSlices, Policy::kKBlocksPerStage, params.row_tile, 0}, depth(params.depth) {
    const std::uint32_t address = shared_address(shared);
    tiles = shared +
            (round_up(static_cast<int>(address), kSharedAlignment) - static_cast<int>(address));
    scales = reinterpret_cast<float*>(tiles + depth * shape.tile_bytes());
    // Barriers are 8 bytes; an even number of floats may precede them.
    const int scale_bytes = round_up(depth * shape.scale_floats() * 4, 8);
    full = reinterpret_cast<std::uint64_t*>(reinterpret_cast<std::uint8_t*>(scales) + scale_bytes);
    empty = full + depth;
    ticket = reinterpret_cast<unsigned*>(empty + depth);
    scratch = reinterpret_cast<float*>(ticket + 2);
  }
  __device__ std::uint8_t* weights(int stage) const { return tiles + stage * shape.tile_bytes(); }
  __device__ std::uint8_t* x(int stage) const { return weights(stage) + shape.weight_bytes(); }
  __device__ float* x_scale(int stage) const { return scales + stage * shape.scale_floats(); }
  __device__ float* weight_scale(int stage) const {
    return x_scale(stage) + shape.k_blocks * shape.row_tile;
  }

  StreamShared shape;
  int depth;
  std::uint8_t* tiles;
  float* scales;
  std::uint64_t* full;
  std::uint64_t* empty;
  unsigned* ticket;
  float* scratch;
};

template <typename Policy>
__device__ WorkRange work_range(const typename Policy::Params& params) {
  return WorkRange(Policy::unit_count(params),
                   params.stream.k / (kQuantBlock * Policy::kKBlocksPerStage),
                   params.stream.split_stages);
}

// Warp 8, one lane.
template <typename Policy>
__device__ void stream_weights(const typename Policy::Params& params,
                               const StreamLayout<Policy>& layout) {
  constexpr int kStageStride = Policy::kKBlocksPerStage * kSliceBytes;
  WorkRange range = work_range<Policy>(params);
  Segment segment;
  RingPosition slot;
  while (range.next(segment)) {
    const typename Policy::Unit unit = Policy::unit(params, segment.unit);
    const std::uint8_t* source[Policy::kSlices];
#pragma unroll
    for (int s = 0; s < Policy::kSlices; ++s) source[s] = Policy::weights(params, unit, s);
    for (int stage = segment.stage_begin; stage < segment.stage_end; ++stage) {
      mbarrier_wait(&layout.empty[slot.stage], slot.parity ^ 1);
      mbarrier_arrive_expect(&layout.full[slot.stage], Policy::kSlices * kSliceBytes);
#pragma unroll
      for (int s = 0; s < Policy::kSlices; ++s) {
        bulk_copy_streamed(layout.weights(slot.stage) + s * kSliceBytes,
                           source[s] + static_cast<std::size_t>(stage) * kStageStride, kSliceBytes,
                           &layout.full[slot.stage]);
      }
      slot.advance(layout.depth);
    }
  }
}

// Warp 9, one lane, where the activations lie in tiles.
template <typename Policy>
__device__ void fetch_tiles(const typename Policy::Params& params,
                            const StreamLayout<Policy>& layout) {
  const Fp8Rows& x = params.stream.x;
  WorkRange range = work_range<Policy>(params);
  Segment segment;
  RingPosition slot;
  while (range.next(segment)) {
    const typename Policy::Unit unit = Policy::unit(params, segment.unit);
    const int rows = round_up(unit.rows, 8);
    for (int stage = segment.stage_begin; stage < segment.stage_end; ++stage) {
      mbarrier_wait(&layout.empty[slot.stage], slot.parity ^ 1);
      std::uint64_t* full = &layout.full[slot.stage];
      mbarrier_arrive_expect(full, Policy::kKBlocksPerStage * rows * (kQuantBlock + 4));
#pragma unroll
      for (int b = 0; b < Policy::kKBlocksPerStage; ++b) {
        const std::size_t row =
            static_cast<std::size_t>(stage * Policy::kKBlocksPerStage + b) * x.scale_stride +
            unit.row_begin;
        const int tile = b * layout.shape.row_tile;
        bulk_copy(layout.x(slot.stage) + tile * kQuantBlock, x.data + row * kQuantBlock,
                  rows * kQuantBlock, full);
        bulk_copy(layout.x_scale(slot.stage) + tile, x.scale + row, rows * 4, full);
      }
      slot.advance(layout.depth);
    }
  }
}

// One loader thread's share of a unit's activation rows: chunk `thread % 8` of rows
// `thread / 8 + 8 j`, and the scale of row `thread`.
template <typename Policy, int kColumnsMax>
struct LoaderRows {
  static constexpr int kRowsPerThread = kColumnsMax / (kLoaderThreads / 8);

  __device__ LoaderRows(const typename Policy::Params& params, const typename Policy::Unit& unit,
                        int thread)
      : rows(unit.rows) {
    const StreamParams& stream = params.stream;
#pragma unroll
    for (int j = 0; j < kRowsPerThread; ++j) {
      const int row = thread / 8 + 8 * j;
      if (row < rows) {
        data[j] = stream.x.data +
                  static_cast<std::size_t>(Policy::source_row(params, unit, row)) * stream.k +
                  (thread % 8) * 16;
      }
    }
    if (thread < rows) scale = stream.x.scale + Policy::source_row(params, unit, thread);
    if (thread < Policy::kSlices) weight_scale = Policy::weight_scale(params, unit, thread);
  }

  int rows;
  const std::uint8_t* data[kRowsPerThread] = {};
  const float* scale = nullptr;
  const float* weight_scale = nullptr;
};

// Warps 9 and 10.
template <typename Policy, int kColumnsMax>
__device__ void load_stage(const LoaderRows<Policy, kColumnsMax>& rows, const StreamParams& params,
                           const StreamLayout<Policy>& layout, int slot, int stage, int thread) {
#pragma unroll
  for (int b = 0; b < Policy::kKBlocksPerStage; ++b) {
    const int k_block = stage * Policy::kKBlocksPerStage + b;
    std::uint8_t* tile = layout.x(slot) + b * layout.shape.row_tile * kQuantBlock;
#pragma unroll
    for (int j = 0; j < LoaderRows<Policy, kColumnsMax>::kRowsPerThread; ++j) {
      const int row = thread / 8 + 8 * j;
      if (row < rows.rows) {
        cp_async_16(tile + swizzled_offset(row, (thread % 8) * 16),
                    rows.data[j] + static_cast<std::size_t>(k_block) * kQuantBlock);
      }
    }
    if (thread < rows.rows) {
      cp_async_4(layout.x_scale(slot) + b * layout.shape.row_tile + thread,
                 rows.scale + static_cast<std::size_t>(k_block) * params.x.scale_stride);
    }
  }
  if (thread < Policy::kSlices) {
    cp_async_4(layout.weight_scale(slot) + thread,
               rows.weight_scale + stage * Policy::kKBlocksPerStage);
  }
  cp_async_commit();
}

template <typename Policy, int kColumnsMax>
__device__ void load_activations(const typename Policy::Params& params,
                                 const StreamLayout<Policy>& layout, int thread) {
  WorkRange range = work_range<Policy>(params);
  Segment segment;
  RingPosition slot;
  RingPosition handed_over;
  int in_flight = 0;
  // The copies are this thread's ordinary writes: only it can tell when they have landed.
  const auto hand_over = [&] {
    fence_async_proxy();
    mbarrier_arrive(&layout.full[handed_over.stage]);
    handed_over.advance(layout.depth);
  };
  while (range.next(segment)) {
    const LoaderRows<Policy, kColumnsMax> rows(params, Policy::unit(params, segment.unit), thread);
    for (int stage = segment.stage_begin; stage < segment.stage_end; ++stage) {
      mbarrier_wait(&layout.empty[slot.stage], slot.parity ^ 1);
      load_stage(rows, params.stream, layout, slot.stage, stage, thread);
      slot.advance(layout.depth);
      if (in_flight == kLoaderLag) {
        cp_async_wait<kLoaderLag>();
        hand_over();
      } else {
        ++in_flight;
      }
    }
  }
  cp_async_wait<0>();
  for (; in_flight > 0; --in_flight) hand_over();
}

// A warpgroup's weight scales of one stage. The gathering loaders bring them with the rows; bulk
// copies cannot (they may lie at any multiple of 4 bytes), so there each thread loads its own, one
// stage ahead.
template <typename Policy>
struct WeightScales {
  static constexpr int kSlicesEach = Policy::kSlices / 2;

  __device__ WeightScales(const typename Policy::Params& params, const typename Policy::Unit& unit,
                          int first_stage) {
    if constexpr (Policy::kTiledRows) {
#pragma unroll
      for (int s = 0; s < kSlicesEach; ++s) {
        source[s] = Policy::weight_scale(params, unit, static_cast<int>(threadIdx.x) / 128 + 2 * s);
      }
      prefetch(first_stage);
    }
  }
  __device__ void prefetch(int stage) {
    if constexpr (Policy::kTiledRows) {
#pragma unroll
      for (int s = 0; s < kSlicesEach; ++s) {
        current[s] = next[s];
        next[s] = __ldg(source[s] + stage * Policy::kKBlocksPerStage);
      }
    }
  }
  __device__ void take(const StreamLayout<Policy>& layout, int slot, float (&scale)[kSlicesEach]) {
#pragma unroll
    for (int s = 0; s < kSlicesEach; ++s) {
      scale[s] = Policy::kTiledRows
                     ? current[s]
                     : layout.weight_scale(slot)[static_cast<int>(threadIdx.x) / 128 + 2 * s];
    }
  }

  const float* source[kSlicesEach];
  float current[kSlicesEach];
  float next[kSlicesEach];
};

// acc += the unit's product over the segment. A warpgroup's slices share one x tile when a stage is
// one K block; when it is two, warpgroup g holds K block g.
template <typename Policy, int kColumns>
__device__ void multiply_segment(const typename Policy::Params& params,
                                 const typename Policy::Unit& unit, const Segment& segment,
                                 const StreamLayout<Policy>& layout, RingPosition& slot,
                                 float (&acc)[Policy::kSlices / 2 * kColumns / 2]) {
  constexpr int kSlicesEach = Policy::kSlices / 2;
  const int warpgroup = threadIdx.x / 128;
  const int lane = threadIdx.x % 32;
  const int k_block = Policy::kKBlocksPerStage == 2 ? warpgroup : 0;
  WeightScales<Policy> scales(params, unit, segment.stage_begin);
  for (int stage = segment.stage_begin; stage < segment.stage_end; ++stage) {
    scales.prefetch(stage + 1 < segment.stage_end ? stage + 1 : stage);
    mbarrier_wait(&layout.full[slot.stage], slot.parity);
    const std::uint64_t x =
        wgmma_descriptor(layout.x(slot.stage) + k_block * layout.shape.row_tile * kQuantBlock);
    float block[kSlicesEach][kColumns / 2];
#pragma unroll
    for (int s = 0; s < kSlicesEach; ++s) pin_registers(block[s]);
    wgmma_fence();
#pragma unroll
    for (int s = 0; s < kSlicesEach; ++s) {
      const std::uint64_t w =
          wgmma_descriptor(layout.weights(slot.stage) + (warpgroup + 2 * s) * kSliceBytes);
#pragma unroll
      for (int k = 0; k < kQuantBlock / 32; ++k) {
        WgmmaFp8<kColumns>::multiply(block[s], w + k * kWgmmaDescriptorStepK32,
                                     x + k * kWgmmaDescriptorStepK32, k > 0);
      }
    }
    wgmma_commit();
    const float* x_scale = layout.x_scale(slot.stage) + k_block * layout.shape.row_tile;
    float column_scale[kColumns / 4];
#pragma unroll
    for (int c = 0; c < kColumns / 4; ++c) {
      column_scale[c] = x_scale[(c / 2) * 8 + (lane % 4) * 2 + c % 2];
    }
    float weight_scale[kSlicesEach];
    scales.take(layout, slot.stage, weight_scale);
    wgmma_wait<0>();
#pragma unroll
    for (int s = 0; s < kSlicesEach; ++s) pin_registers(block[s]);
    mbarrier_arrive_warp(&layout.empty[slot.stage]);
#pragma unroll
    for (int s = 0; s < kSlicesEach; ++s) {
#pragma unroll
      for (int i = 0; i < kColumns / 2; ++i) {
        acc[s * (kColumns / 2) + i] +=
            block[s][i] * (weight_scale[s] * column_scale[(i / 4) * 2 + i % 2]);
      }
    }
    slot.advance(layout.depth);
  }
}

// How many sums a thread holds, and the column of each (column_of): without kSumWarpgroups as WGMMA
// leaves them, slice after slice; with it, warpgroup g holds rows 8 g .. 8 g + 7 of each 16.
template <typename Policy, int kColumns>
struct Sums {
  static constexpr int kCount =
      Policy::kSumWarpgroups ? kColumns / 4 : Policy::kSlices / 2 * kColumns / 2;

  static __device__ __forceinline__ int column_of(int value) {
    const int in_slice = value % (kColumns / 2);
    const int group = Policy::kSumWarpgroups ? value / 2 : in_slice / 4;
    return group * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + value % 2;
  }
  // Where a partial sum is stored, in units of one value of all threads: by groups of 8 columns
  // first, so that a unit's partial sums end with its last row.
  static constexpr int place_of(int value) {
    if (Policy::kSumWarpgroups) return value;
    const int slices = Policy::kSlices / 2;
    return value % (kColumns / 2) * slices + value / (kColumns / 2);
  }
};

// Adds the two warpgroups' sums of the same outputs; each warpgroup gets half of them.
template <int kColumns>
__device__ void sum_warpgroups(const float (&acc)[kColumns / 2], float* scratch,
                               float (&sums)[kColumns / 4]) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int self = static_cast<int>(threadIdx.x) / 128;
  constexpr int kHalf = kColumns / 4;
#pragma unroll
  for (int j = 0; j < kHalf; ++j) {
    const int pair = (j / 2) * 4 + j % 2;
    scratch[((1 - self) * kHalf + j) * 128 + thread] = self == 0 ? acc[pair + 2] : acc[pair];
  }
  named_barrier(kConsumerBarrier, kConsumerThreads);
#pragma unroll
  for (int j = 0; j < kHalf; ++j) {
    const int pair = (j / 2) * 4 + j % 2;
    const float other = scratch[(self * kHalf + j) * 128 + thread];
    sums[j] = (self == 0 ? acc[pair] : acc[pair + 2]) + other;
  }
  named_barrier(kConsumerBarrier, kConsumerThreads);
}

// True for the segment of the unit that comes last; all others' partial sums are then visible.
template <typename Policy>
__device__ bool arrives_last(const StreamParams& stream, const Segment& segment,
                             const StreamLayout<Policy>& layout) {
  named_barrier(kConsumerBarrier, kConsumerThreads);
  if (threadIdx.x == 0) {
    // One fence for the block: the barrier before it has ordered the other threads' stores.
    __threadfence();
    const unsigned ticket = atomicAdd(stream.tickets + segment.unit, 1u);
    const bool last = ticket == static_cast<unsigned>(segment.count) - 1;
    if (last) stream.tickets[segment.unit] = 0;
    *layout.ticket = last;
    __threadfence();
  }
  named_barrier(kConsumerBarrier, kConsumerThreads);
  const bool last = *layout.ticket != 0;
  named_barrier(kConsumerBarrier, kConsumerThreads);
  return last;
}

// Adds the segments of a unit in the order of K. Every segment stores its sums; the one that comes
// last, as the ticket says, adds all of them, so the bits do not depend on which one that is. True
// for that block: `sums` is then the whole unit's.
template <typename Policy, int kColumns, int kCount = Sums<Policy, kColumns>::kCount>
__device__ bool gather_segments(const typename Policy::Params& params,
                                const typename Policy::Unit& unit, const Segment& segment,
                                const StreamLayout<Policy>& layout, float (&sums)[kCount]) {
  using Held = Sums<Policy, kColumns>;
  const auto partial = [&](int ordinal) {
    return params.stream.partials + Policy::partial_offset(params, unit, ordinal) + threadIdx.x;
  };
  float* mine = partial(segment.ordinal);
#pragma unroll
  for (int v = 0; v < kCount; ++v) {
    if (Held::column_of(v) < unit.rows)
      __stcg(mine + Held::place_of(v) * kConsumerThreads, sums[v]);
  }
  if (!arrives_last(params.stream, segment, layout)) return false;
#pragma unroll
  for (int v = 0; v < kCount; ++v) sums[v] = 0.0f;
  // A round trip to the cache takes longer than the sums: several segments are fetched at a time.
  constexpr int kBatch = kCount <= 8 ? 8 : kCount <= 16 ? 4 : kCount <= 32 ? 2 : 1;
  for (int first = 0; first < segment.count; first += kBatch) {
    float fetched[kBatch][kCount] = {};
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const float* stored = partial(first + b);
#pragma unroll
      for (int v = 0; v < kCount; ++v) {
        if (first + b < segment.count && Held::column_of(v) < unit.rows) {
          fetched[b][v] = __ldcg(stored + Held::place_of(v) * kConsumerThreads);
        }
      }
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
#pragma unroll
      for (int v = 0; v < kCount; ++v) sums[v] += fetched[b][v];
    }
  }
  return true;
}

template <typename Policy, int kColumns>
__device__ void consume_segment(const typename Policy::Params& params,
                                const typename Policy::Unit& unit, const Segment& segment,
                                const StreamLayout<Policy>& layout, RingPosition& slot) {
  float acc[Policy::kSlices / 2 * kColumns / 2] = {};
  multiply_segment<Policy, kColumns>(params, unit, segment, layout, slot, acc);
  const auto finish = [&](auto& sums) {
    if (segment.count == 1 ||
        gather_segments<Policy, kColumns>(params, unit, segment, layout, sums)) {
      Policy::template finish<kColumns>(params, unit, sums, layout.scratch);
    }
  };
  if constexpr (Policy::kSumWarpgroups) {
    float sums[kColumns / 4];
    sum_warpgroups<kColumns>(acc, layout.scratch, sums);
    finish(sums);
  } else {
    finish(acc);
  }
}

// Warps 0 to 7.
template <typename Policy, int kColumnsMax>
__device__ void consume(const typename Policy::Params& params, const StreamLayout<Policy>& layout) {
  WorkRange range = work_range<Policy>(params);
  Segment segment;
  RingPosition slot;
  while (range.next(segment)) {
    const typename Policy::Unit unit = Policy::unit(params, segment.unit);
    if (kColumnsMax == 8 || unit.rows <= 8) {
      consume_segment<Policy, 8>(params, unit, segment, layout, slot);
    } else if (kColumnsMax == 16 || unit.rows <= 16) {
      consume_segment<Policy, smaller(kColumnsMax, 16)>(params, unit, segment, layout, slot);
    } else if (kColumnsMax == 32 || unit.rows <= 32) {
      consume_segment<Policy, smaller(kColumnsMax, 32)>(params, unit, segment, layout, slot);
    } else if (kColumnsMax == 64 || unit.rows <= 64) {
      consume_segment<Policy, smaller(kColumnsMax, 64)>(params, unit, segment, layout, slot);
    } else {
      consume_segment<Policy, kColumnsMax>(params, unit, segment, layout, slot);
    }
  }
}

template <typename Policy>
__device__ void init_barriers(const StreamLayout<Policy>& layout) {
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < layout.depth; ++stage) {
      mbarrier_init(&layout.full[stage], 1 + (Policy::kTiledRows ? 1 : kLoaderThreads));
      mbarrier_init(&layout.empty[stage], kConsumerWarps * kArrivalsOfWarp);
    }
    fence_barrier_init();
  }
  __syncthreads();
}

template <typename Policy, int kColumnsMax>
__global__ void __launch_bounds__(stream_threads<Policy>(), 1)
    weight_stream_kernel(const __grid_constant__ typename Policy::Params params) {
  extern __shared__ std::uint8_t shared[];
  const StreamLayout<Policy> layout(params.stream, shared);
  init_barriers(layout);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  if (warp == kConsumerWarps) {
    if (!Policy::kWeightsBeforeWait) wait_for_predecessor();
    if (threadIdx.x % 32 == 0) stream_weights<Policy>(params, layout);
  } else if (warp > kConsumerWarps) {
    wait_for_predecessor();
    // After the wait: whoever starts because of this may rely on all of our predecessors.
    let_successor_start();
    const int thread = static_cast<int>(threadIdx.x) - kConsumerThreads - 32;
    if constexpr (Policy::kTiledRows) {
      if (thread == 0) fetch_tiles<Policy>(params, layout);
    } else {
      load_activations<Policy, kColumnsMax>(params, layout, thread);
    }
  } else {
    wait_for_predecessor();
    consume<Policy, kColumnsMax>(params, layout);
  }
}

// Starts the kernel for params.stream.row_tile, with as deep a pipeline as fits.
template <typename Policy>
cudaError_t launch_weight_stream(typename Policy::Params params, int scratch_bytes, int blocks,
                                 LaunchOrder order, cudaStream_t stream) {
  const int row_tile = params.stream.row_tile;
  const StreamShared shared{Policy::kSlices, Policy::kKBlocksPerStage, row_tile, scratch_bytes};
  params.stream.depth = stream_depth(shared);
  if (params.stream.depth < (Policy::kTiledRows ? 2 : kDepthMin)) return cudaErrorInvalidValue;
  const LaunchShape shape{static_cast<unsigned>(blocks), stream_threads<Policy>(),
                          static_cast<unsigned>(stream_shared_bytes(shared, params.stream.depth))};
  switch (row_tile) {
    case 8:
      return launch(weight_stream_kernel<Policy, 8>, params, shape, order, stream);
    case 16:
      return launch(weight_stream_kernel<Policy, 16>, params, shape, order, stream);
    case 32:
      return launch(weight_stream_kernel<Policy, 32>, params, shape, order, stream);
    case 64:
      return launch(weight_stream_kernel<Policy, 64>, params, shape, order, stream);
    default:
      break;
  }
  if constexpr (Policy::kColumnsMost == 128) {
    if (row_tile == 128) {
      return launch(weight_stream_kernel<Policy, 128>, params, shape, order, stream);
    }
  }
  return cudaErrorInvalidValue;
}

}  // namespace hadal::kernels
