// down_sm90: out[t, :] = sum over the token's experts, in index order, of weight * (h W_down^T).
//
// A block owns 64 output columns for all tokens: it walks the row tiles of all experts in order and
// adds each into FP32 sums in shared memory. So the combine costs no traffic and no second kernel,
// the order of summation is fixed, and a token's bits do not depend on the other tokens.
//
//             experts ->   0        1        2     ...
//   columns    0- 63    [W 64xK] [W 64xK] [W 64xK]       block 0, sums [tokens, 64]
//   columns   64-127    [W 64xK] ...                     block 1
//
// Roles (320 threads): warps 0-3 and 4-7 are two consumer warpgroups that take tiles in turn, each
// adding to the sums when the one before has; warp 8 fetches weights; warp 9 fetches h, its scales
// and the rows' tokens and weights.
//
// Slot: | 2 weight slices (64 rows x 256 of K) | h: 2 x row_tile x 128 B | h scales | row infos |
// shared: sums 68 x 4 B a token = 68 KiB at 256 tokens; 24.5 KiB a slot at 32 rows: 6 slots
// bytes:  1.84 MB an expert for one TP8 rank (7168 x 256); h is read from L2 by every block
// Above kDownSm90TokensMax tokens the sums do not fit. Then (kToRows) each tile's products go to
// expert_out, one FP32 row per row of the plan, and combine (experts_generic.cu) adds them.
// bound:  memory; 7168 / 64 = 112 of 132 multiprocessors, which with 98 KiB each in flight suffice
#include <cuda_bf16.h>

#include <type_traits>

#include "kernels/common/async_copy.cuh"
#include "kernels/common/mbarrier.cuh"
#include "kernels/common/pdl.cuh"
#include "kernels/common/wgmma_fp8.cuh"
#include "kernels/moe/moe.h"

namespace hadal::kernels::moe {
namespace {

constexpr int kStageK = 2 * kQuantBlock;
constexpr int kWeightBytes = 2 * kSliceBytes;
constexpr int kConsumerThreads = 256;
constexpr int kConsumerWarps = kConsumerThreads / 32;
constexpr int kThreads = kConsumerThreads + 64;
constexpr int kConsumerBarrier = 1;
// 68 floats a token: four tokens that one warp adds to at a time fall into different banks.
constexpr int kSumStride = kSliceRows + 4;
constexpr int kDepthMost = 16;

constexpr int slot_bytes(int row_tile) {
  return kWeightBytes + 2 * row_tile * kQuantBlock + 2 * row_tile * 4 + row_tile * 8;
}
constexpr int fixed_bytes(int tokens) {
  return kSharedAlignment + tokens * kSumStride * 4 + kDepthMost * 16 + 64;
}

struct Layout {
  __device__ Layout(const DownParams& params, std::uint8_t* shared) : row_tile(params.row_tile) {
    const int address = static_cast<int>(shared_address(shared));
    tiles = shared + (round_up(address, kSharedAlignment) - address);
    tile_bytes = kWeightBytes + 2 * row_tile * kQuantBlock;
    info_bytes = 2 * row_tile * 4 + row_tile * 8;
    infos = tiles + params.depth * tile_bytes;
    full = reinterpret_cast<std::uint64_t*>(infos + params.depth * info_bytes);
    empty = full + params.depth;
    turn = empty + params.depth;
    sums = reinterpret_cast<float*>(turn + 2);
  }
  __device__ std::uint8_t* weights(int slot) const { return tiles + slot * tile_bytes; }
  __device__ std::uint8_t* h(int slot, int k_block) const {
    return weights(slot) + kWeightBytes + k_block * row_tile * kQuantBlock;
  }
  __device__ float* h_scale(int slot, int k_block) const {
    return reinterpret_cast<float*>(infos + slot * info_bytes) + k_block * row_tile;
  }
  __device__ RowInfo* rows(int slot) const { return reinterpret_cast<RowInfo*>(h_scale(slot, 2)); }

  int row_tile;
  int tile_bytes;
  int info_bytes;
  std::uint8_t* tiles;
  std::uint8_t* infos;
  std::uint64_t* full;
  std::uint64_t* empty;
  std::uint64_t* turn;  // [2]: warpgroup g may add its tile
  float* sums;          // [tokens, kSumStride]
};

// The plan's tiles, 32 at a time in the registers of a warp: one load for 32 tiles instead of a
// round trip to L2 for each.
class TileCursor {
 public:
  __device__ TileCursor(const Plan& plan, int count) : plan_(plan), count_(count) {}

  // REQUIRES: called by whole warps with index ascending, index < count.
  __device__ RowTile at(int index) {
    const int base = index / 32 * 32;
    if (base != base_) {
      base_ = base;
      const int mine = base + static_cast<int>(threadIdx.x) % 32;
      if (mine < count_) held_ = plan_.tiles[mine];
    }
    const int lane = index % 32;
    return {__shfl_sync(~0u, held_.expert, lane), __shfl_sync(~0u, held_.row_begin, lane),
            __shfl_sync(~0u, held_.rows, lane), 0};
  }

 private:
  Plan plan_;
  int count_;
  int base_ = -1;
  RowTile held_ = {};
};

__device__ const std::uint8_t* expert_slices(const DownParams& p, int expert) {
  const std::size_t rows = static_cast<std::size_t>(expert) * p.shape.hidden +
                           static_cast<std::size_t>(blockIdx.x) * kSliceRows;
  return p.weights.data + rows * p.shape.intermediate;
}

// Warp 8.
__device__ void fetch_weights(const DownParams& p, const Layout& layout, int tile_count) {
  const int stages = p.shape.intermediate / kStageK;
  TileCursor tiles(p.plan, tile_count);
  RingPosition slot;
  for (int i = 0; i < tile_count; ++i) {
    const std::uint8_t* source = expert_slices(p, tiles.at(i).expert);
    if (threadIdx.x % 32 != 0) continue;
    for (int stage = 0; stage < stages; ++stage) {
      mbarrier_wait(&layout.empty[slot.stage], slot.parity ^ 1);
      mbarrier_arrive_expect(&layout.full[slot.stage], kWeightBytes);
      bulk_copy_streamed(layout.weights(slot.stage),
                         source + static_cast<std::size_t>(stage) * kWeightBytes, kWeightBytes,
                         &layout.full[slot.stage]);
      slot.advance(p.depth);
    }
  }
}

// Warp 9: lanes 0 and 1 fetch h, 2 and 3 its scales, 4 the row infos.
__device__ void fetch_rows(const DownParams& p, const Layout& layout, int tile_count) {
  const int stages = p.shape.intermediate / kStageK;
  const int lane = threadIdx.x % 32;
  TileCursor tiles(p.plan, tile_count);
  RingPosition slot;
  for (int i = 0; i < tile_count; ++i) {
    const RowTile tile = tiles.at(i);
    const int rows = round_up(tile.rows, 8);
    for (int stage = 0; stage < stages; ++stage) {
      mbarrier_wait(&layout.empty[slot.stage], slot.parity ^ 1);
      std::uint64_t* full = &layout.full[slot.stage];
      if (lane == 0) mbarrier_arrive_expect(full, rows * (2 * kQuantBlock + 2 * 4 + 8));
      __syncwarp();
      const std::size_t group =
          static_cast<std::size_t>(2 * stage + lane % 2) * p.hidden.rows_capacity + tile.row_begin;
      if (lane < 2) {
        bulk_copy(layout.h(slot.stage, lane), p.hidden.data + group * kQuantBlock,
                  rows * kQuantBlock, full);
      } else if (lane < 4) {
        bulk_copy(layout.h_scale(slot.stage, lane - 2), p.hidden.scale + group, rows * 4, full);
      } else if (lane == 4) {
        bulk_copy(layout.rows(slot.stage), p.plan.rows + tile.row_begin, rows * 8, full);
      }
      slot.advance(p.depth);
    }
  }
}

// The two weight scales of a stage. Loaded one stage ahead: a load takes as long as a stage.
__device__ float2 load_weight_scales(const DownParams& p, int expert, int stage) {
  const int k_blocks = p.shape.intermediate / kQuantBlock;
  const int row_blocks = ceil_div(p.shape.hidden, kQuantBlock);
  const std::size_t row = static_cast<std::size_t>(expert) * row_blocks +
                          static_cast<int>(blockIdx.x) * kSliceRows / kQuantBlock;
  return __ldg(reinterpret_cast<const float2*>(p.weights.scale + row * k_blocks) + stage);
}

// acc += the stage's product, for the two K blocks.
template <int kColumns>
__device__ void multiply_stage(const Layout& layout, int slot, float2 weight_scales,
                               float (&acc)[kColumns / 2]) {
  const int lane = threadIdx.x % 32;
  float block[2][kColumns / 2];
  pin_registers(block[0]);
  pin_registers(block[1]);
  wgmma_fence();
#pragma unroll
  for (int b = 0; b < 2; ++b) {
    const std::uint64_t w = wgmma_descriptor(layout.weights(slot) + b * kSliceBytes);
    const std::uint64_t h = wgmma_descriptor(layout.h(slot, b));
#pragma unroll
    for (int k = 0; k < kQuantBlock / 32; ++k) {
      WgmmaFp8<kColumns>::multiply(block[b], w + k * kWgmmaDescriptorStepK32,
                                   h + k * kWgmmaDescriptorStepK32, k > 0);
    }
  }
  wgmma_commit();
  float scale[2][kColumns / 4];
#pragma unroll
  for (int c = 0; c < kColumns / 4; ++c) {
    const int column = (c / 2) * 8 + (lane % 4) * 2 + c % 2;
    scale[0][c] = weight_scales.x * layout.h_scale(slot, 0)[column];
    scale[1][c] = weight_scales.y * layout.h_scale(slot, 1)[column];
  }
  wgmma_wait<0>();
  pin_registers(block[0]);
  pin_registers(block[1]);
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) {
    const int c = (i / 4) * 2 + i % 2;
    acc[i] += block[0][i] * scale[0][c];
    acc[i] += block[1][i] * scale[1][c];
  }
}

// The warpgroup's place in the sequence of tiles and slots.
struct Consumer {
  int warpgroup;
  int tile_count;
  int stages;
};

// Adds a tile's products to the sums of its rows' tokens.
template <int kColumns>
__device__ void add_to_sums(const Layout& layout, const RowInfo (&rows)[kColumns / 4],
                            const float (&acc)[kColumns / 2]) {
  const int sum_row = (threadIdx.x % 128) / 32 * 16 + threadIdx.x % 32 / 4;
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) {
    const RowInfo row = rows[(i / 4) * 2 + i % 2];
    if (row.token >= 0) {
      layout.sums[row.token * kSumStride + sum_row + (i % 4) / 2 * 8] += row.weight * acc[i];
    }
  }
}

template <int kColumns>
__device__ void store_rows(const DownParams& p, const RowTile& tile,
                           const float (&acc)[kColumns / 2]) {
  const int lane = threadIdx.x % 32;
  const int column_begin = static_cast<int>(blockIdx.x) * kSliceRows +
                           static_cast<int>(threadIdx.x) % 128 / 32 * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) {
    const int row = (i / 4) * 8 + (lane % 4) * 2 + i % 2;
    if (row < tile.rows) {
      p.expert_out[static_cast<std::size_t>(tile.row_begin + row) * p.shape.hidden + column_begin +
                   (i % 4) / 2 * 8] = acc[i];
    }
  }
}

// Multiplies tile `index` and hands the products on.
template <int kColumns, bool kToRows>
__device__ void consume_tile(const DownParams& p, const Layout& layout, const Consumer& self,
                             int index, const RowTile& tile, int next_expert,
                             float2& weight_scales) {
  const int lane = threadIdx.x % 32;
  float acc[kColumns / 2] = {};
  RowInfo rows[kColumns / 4];
  for (int stage = 0; stage < self.stages; ++stage) {
    const float2 scales_now = weight_scales;
    const bool last = stage == self.stages - 1;
    weight_scales = load_weight_scales(p, last ? next_expert : tile.expert, last ? 0 : stage + 1);
    const int count = index * self.stages + stage;
    const int slot = count % p.depth;
    mbarrier_wait(&layout.full[slot], (count / p.depth) & 1);
    multiply_stage<kColumns>(layout, slot, scales_now, acc);
    if (last && !kToRows) {
#pragma unroll
      for (int c = 0; c < kColumns / 4; ++c) {
        const int column = (c / 2) * 8 + (lane % 4) * 2 + c % 2;
        rows[c] = column < tile.rows ? layout.rows(slot)[column] : RowInfo{-1, 0.0f};
      }
    }
    mbarrier_arrive_warp(&layout.empty[slot]);
  }
  // The warpgroups take turns: it fixes the order of the sums, and it keeps either from running a
  // lap of slots ahead of the other, where it would mistake one phase of a slot for another.
  if (index > 0) mbarrier_wait(&layout.turn[self.warpgroup], ((index - 1) / 2) & 1);
  if constexpr (kToRows) {
    store_rows<kColumns>(p, tile, acc);
  } else {
    add_to_sums<kColumns>(layout, rows, acc);
  }
  mbarrier_arrive_warp(&layout.turn[1 - self.warpgroup]);
}

__device__ void store_sums(const DownParams& p, const Layout& layout) {
  constexpr int kPieces = kSliceRows / 8;
  for (int i = threadIdx.x; i < p.tokens * kPieces; i += kConsumerThreads) {
    const int token = i / kPieces;
    const int column = i % kPieces * 8;
    const float* sums = layout.sums + token * kSumStride + column;
    __align__(16) __nv_bfloat162 packed[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) packed[j] = __floats2bfloat162_rn(sums[2 * j], sums[2 * j + 1]);
    __nv_bfloat16* out = p.out + static_cast<std::size_t>(token) * p.shape.hidden +
                         static_cast<int>(blockIdx.x) * kSliceRows + column;
    *reinterpret_cast<uint4*>(out) = *reinterpret_cast<const uint4*>(packed);
  }
}

// Warps 0 to 7.
template <int kColumnsMax, bool kToRows>
__device__ void consume(const DownParams& p, const Layout& layout, int tile_count) {
  for (int i = threadIdx.x; !kToRows && i < p.tokens * kSumStride; i += kConsumerThreads) {
    layout.sums[i] = 0.0f;
  }
  named_barrier(kConsumerBarrier, kConsumerThreads);
  const Consumer self{static_cast<int>(threadIdx.x) / 128, tile_count,
                      p.shape.intermediate / kStageK};
  TileCursor tiles(p.plan, tile_count);
  TileCursor ahead(p.plan, tile_count);
  float2 weight_scales = {};
  if (self.warpgroup < tile_count) {
    weight_scales = load_weight_scales(p, ahead.at(self.warpgroup).expert, 0);
  }
  for (int i = self.warpgroup; i < tile_count; i += 2) {
    const RowTile tile = tiles.at(i);
    const int next_expert = ahead.at(min(i + 2, tile_count - 1)).expert;
    const auto consume_columns = [&]<int kColumns>(std::integral_constant<int, kColumns>) {
      consume_tile<kColumns, kToRows>(p, layout, self, i, tile, next_expert, weight_scales);
    };
    if (kColumnsMax == 8 || tile.rows <= 8) {
      consume_columns(std::integral_constant<int, 8>());
    } else if (kColumnsMax == 16 || tile.rows <= 16) {
      consume_columns(std::integral_constant<int, smaller(kColumnsMax, 16)>());
    } else if (kColumnsMax == 32 || tile.rows <= 32) {
      consume_columns(std::integral_constant<int, smaller(kColumnsMax, 32)>());
    } else {
      consume_columns(std::integral_constant<int, kColumnsMax>());
    }
  }
  if constexpr (!kToRows) {
    named_barrier(kConsumerBarrier, kConsumerThreads);
    store_sums(p, layout);
  }
}

template <int kColumnsMax, bool kToRows>
__global__ void __launch_bounds__(kThreads, 1) down_kernel(const __grid_constant__ DownParams p) {
  extern __shared__ std::uint8_t shared[];
  const Layout layout(p, shared);
  if (threadIdx.x == 0) {
    for (int slot = 0; slot < p.depth; ++slot) {
      mbarrier_init(&layout.full[slot], 2);
      mbarrier_init(&layout.empty[slot], kConsumerWarps / 2 * kArrivalsOfWarp);
    }
    mbarrier_init(&layout.turn[0], kConsumerWarps / 2 * kArrivalsOfWarp);
    mbarrier_init(&layout.turn[1], kConsumerWarps / 2 * kArrivalsOfWarp);
    fence_barrier_init();
  }
  __syncthreads();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  // gate_up, our predecessor, started only after the plan was complete, so the plan and with it the
  // choice of weights may be read before the wait.
  const int tile_count = p.plan.counts[0];
  if (warp == kConsumerWarps) {
    fetch_weights(p, layout, tile_count);
  } else if (warp == kConsumerWarps + 1) {
    wait_for_predecessor();
    let_successor_start();
    fetch_rows(p, layout, tile_count);
  } else {
    wait_for_predecessor();
    consume<kColumnsMax, kToRows>(p, layout, tile_count);
  }
}

bool legal(const DownParams& p) {
  return p.shape.hidden % kSliceRows == 0 && p.shape.intermediate % kStageK == 0 && p.tokens >= 0 &&
         p.tokens <= kTokensMax && p.row_tile >= 8 && p.row_tile <= 64 &&
         p.hidden.rows_capacity >= rows_max(p.shape, p.tokens) && p.hidden.rows_capacity % 8 == 0;
}

template <bool kToRows>
cudaError_t launch_kernel(DownParams p, LaunchOrder order, cudaStream_t stream) {
  const int fixed = fixed_bytes(kToRows ? 0 : p.tokens);
  p.depth = smaller((kSharedBytesMax - fixed) / slot_bytes(p.row_tile), kDepthMost);
  if (p.depth < 2) return cudaErrorInvalidValue;
  const LaunchShape shape{static_cast<unsigned>(p.shape.hidden / kSliceRows), kThreads,
                          static_cast<unsigned>(fixed + p.depth * slot_bytes(p.row_tile))};
  switch (p.row_tile) {
    case 8:
      return launch(down_kernel<8, kToRows>, p, shape, order, stream);
    case 16:
      return launch(down_kernel<16, kToRows>, p, shape, order, stream);
    case 32:
      return launch(down_kernel<32, kToRows>, p, shape, order, stream);
    default:
      break;
  }
  if constexpr (kToRows) {
    if (p.row_tile == 64) return launch(down_kernel<64, kToRows>, p, shape, order, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t launch_down_sm90(const DownParams& params, LaunchOrder order, cudaStream_t stream) {
  if (!legal(params)) return cudaErrorInvalidValue;
  if (params.tokens == 0) return cudaSuccess;
  if (params.tokens <= kDownSm90TokensMax) return launch_kernel<false>(params, order, stream);
  const cudaError_t multiplied = launch_kernel<true>(params, order, stream);
  return multiplied != cudaSuccess ? multiplied : launch_combine(params, order, stream);
}

}  // namespace hadal::kernels::moe
