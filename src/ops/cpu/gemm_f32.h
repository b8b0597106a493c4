// The matrix product in fp32, for any path: a block of 128 inputs x 16 outputs is decoded to fp32
// once and multiplied with every row. `Decode` is the path's own way from tile to fp32.
#pragma once

#include "ops/cpu/kernels.h"
#include "ops/cpu/lanes.h"

namespace hadal::ops {
namespace {

// Four interleaved partial sums (inputs k % 4), added pairwise: the order of every sum.
HADAL_INLINE F32x16 dot_block(const float* x, const float* weights, int64_t inputs) {
  F32x16 part[4] = {};
  int64_t k = 0;
  for (; k + 4 <= inputs; k += 4) {
    for (int j = 0; j < 4; ++j) part[j] += x[k + j] * load16(weights + (k + j) * kTileOutputs);
  }
  for (int j = 0; k < inputs; ++k, ++j) part[j] += x[k] * load16(weights + k * kTileOutputs);
  return (part[0] + part[1]) + (part[2] + part[3]);
}

template <typename Decode>
void decode_block(const MatrixView& w, int64_t tile_row, int64_t block, float* out) {
  for (int t = 0; t < kBlockTiles && block * kBlockTiles + t < w.tile_cols; ++t) {
    Decode::tile(w, tile_row * w.tile_cols + block * kBlockTiles + t,
                 out + t * kTileInputs * kTileOutputs);
  }
}

template <typename Decode>
void gemm_f32(const GemmArgs& args) {
  const MatrixView& w = *args.weight;
  alignas(64) float weights[kBlockInputs * kTileOutputs];
  alignas(64) float sums[kGemmRows * kTileOutputs];
  for (int64_t tile_row = args.tile_begin; tile_row < args.tile_end; ++tile_row) {
    std::memset(sums, 0, sizeof(float) * static_cast<size_t>(args.rows) * kTileOutputs);
    for (int64_t block = 0; block < w.blocks; ++block) {
      decode_block<Decode>(w, tile_row, block, weights);
      const float scale = w.scales[tile_row * w.blocks + block];
      const int64_t first = block * kBlockInputs;
      const int64_t inputs = w.inputs - first < kBlockInputs ? w.inputs - first : kBlockInputs;
      for (int r = 0; r < args.rows; ++r) {
        const int64_t row = args.row_index != nullptr ? args.row_index[r] : r;
        float* const sum = sums + r * kTileOutputs;
        const F32x16 part = dot_block(args.x + row * args.x_stride + first, weights, inputs);
        store16(sum, load16(sum) + part * scale);
      }
    }
    const int64_t left = w.outputs - tile_row * kTileOutputs;
    for (int r = 0; r < args.rows; ++r) {
      store_part(args.out + r * args.out_stride + (tile_row - args.tile_begin) * kTileOutputs,
                 load16(sums + r * kTileOutputs), left < kTileOutputs ? left : kTileOutputs);
    }
  }
}

inline int64_t gemm_f32_scratch_bytes(int64_t) {
  return 0;
}

}  // namespace
}  // namespace hadal::ops
