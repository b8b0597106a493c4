// fp8_gemm sm90: out = x W^T for 1..128 rows of x.
//
// A unit is 64 weight rows times one row tile of x; a stage is 256 of K, so that the two consumer
// warpgroups take one K block of 128 each and add their sums at the end.
//
// shared: 16 KiB of weights a slot + 2 * row_tile * 128 B of x: 12 slots at 8 rows, 6 at 64
// bytes:  n * k; 15.1 MB for 2112 x 7168, which is 114 KiB a multiprocessor: all of it in flight
// bound:  memory up to about 200 rows
#include "kernels/common/weight_stream.cuh"
#include "kernels/fp8_gemm/fp8_gemm.h"

namespace hadal::kernels::fp8_gemm {
namespace {

struct DensePolicy {
  using Params = fp8_gemm::Params;
  static constexpr int kSlices = 2;
  static constexpr int kKBlocksPerStage = 2;
  static constexpr bool kWeightsBeforeWait = true;
  static constexpr bool kTiledRows = true;
  static constexpr bool kSumWarpgroups = true;
  static constexpr int kColumnsMost = 128;

  struct Unit {
    int row_begin;
    int rows;
    int weight_tile;
  };

  static __device__ int row_tiles(const Params& p) { return ceil_div(p.rows, p.stream.row_tile); }
  static __device__ int unit_count(const Params& p) { return p.n / kSliceRows * row_tiles(p); }
  static __device__ Unit unit(const Params& p, int index) {
    const int row_begin = index % row_tiles(p) * p.stream.row_tile;
    return {row_begin, min(p.stream.row_tile, p.rows - row_begin), index / row_tiles(p)};
  }
  static __device__ const std::uint8_t* weights(const Params& p, const Unit& unit, int slice) {
    return p.weights + static_cast<std::size_t>(unit.weight_tile) * kSliceRows * p.stream.k +
           slice * kSliceBytes;
  }
  static __device__ const float* weight_scale(const Params& p, const Unit& unit, int slice) {
    const int row_block = unit.weight_tile * kSliceRows / kQuantBlock;
    return p.weight_scale + static_cast<std::size_t>(row_block) * (p.stream.k / kQuantBlock) +
           slice;
  }
  static __device__ std::size_t partial_offset(const Params& p, const Unit& unit, int ordinal) {
    const std::size_t tile =
        static_cast<std::size_t>(ordinal) * (p.n / kSliceRows) + unit.weight_tile;
    return (tile * round_up(p.rows, 8) + unit.row_begin) * kSliceRows;
  }

  template <int kColumns>
  static __device__ void finish(const Params& p, const Unit& unit, float (&sums)[kColumns / 4],
                                float*) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int row_in_tile = static_cast<int>(threadIdx.x) % 128 / 32 * 16 + lane / 4 +
                            static_cast<int>(threadIdx.x) / 128 * 8;
    const int feature = unit.weight_tile * kSliceRows + row_in_tile;
#pragma unroll
    for (int j = 0; j < kColumns / 4; ++j) {
      const int column = Sums<DensePolicy, kColumns>::column_of(j);
      if (column < unit.rows) {
        p.out[static_cast<std::size_t>(unit.row_begin + column) * p.n + feature] =
            __float2bfloat16(sums[j]);
      }
    }
  }
};

bool legal(const Params& p) {
  return p.rows >= 0 && p.rows <= kRowsMax && p.n % kSliceRows == 0 &&
         p.stream.k % (2 * kQuantBlock) == 0 && p.stream.x.scale_stride >= p.rows &&
         p.stream.x.scale_stride % 8 == 0 && p.stream.split_stages >= 0 &&
         (p.stream.split_stages == 0 || stages(p.stream.k) % p.stream.split_stages == 0);
}

}  // namespace

int choose_split(int n, int k, int blocks, SplitFor purpose) {
  // Microseconds, measured on an H100: a stage's share of the bandwidth when all multiprocessors
  // stream, a stage when few do, and adding the segments of one unit.
  constexpr double kStageShared = 0.70;
  constexpr double kStageAlone = 0.20;
  constexpr double kAddSegments = 1.5;
  const int tiles = n / kSliceRows;
  const int all = stages(k);
  const double mean = static_cast<double>(tiles) * all / blocks;
  const auto time = [&](double most, double additions) {
    return mean * kStageShared + (most - mean) * kStageAlone + additions * kAddSegments;
  };
  int best = 0;
  double best_time = purpose == SplitFor::kSpeed ? time(mean + 1, 2) : 1e30;
  for (int parts = 1; parts <= all; ++parts) {
    if (all % parts != 0) continue;
    const int grains = ceil_div(tiles * parts, blocks);
    const double fixed = time(grains * (all / parts), parts > 1 ? grains : 0);
    if (fixed < best_time) {
      best_time = fixed;
      best = all / parts;
    }
  }
  return best;
}

std::size_t partial_floats(int rows, int n, int k, int split_stages, int blocks) {
  const int segments_max =
      split_stages > 0 ? stages(k) / split_stages : blocks / units(rows, n) + 2;
  return static_cast<std::size_t>(segments_max) * static_cast<std::size_t>(n) *
         static_cast<std::size_t>(round_up(rows, 8));
}

cudaError_t launch_sm90(const Params& params, int blocks, LaunchOrder order, cudaStream_t stream) {
  if (!legal(params)) return cudaErrorInvalidValue;
  if (params.rows == 0) return cudaSuccess;
  Params chosen = params;
  chosen.stream.row_tile = row_tile_for(params.rows);
  return launch_weight_stream<DensePolicy>(chosen, chosen.stream.row_tile * kSliceRows * 4, blocks,
                                           order, stream);
}

}  // namespace hadal::kernels::fp8_gemm
