// What the two bf16 paths share: inputs rounded to bf16, blocks of decoded weights, and the sum
// over blocks in fp32. `Block` multiplies one block of up to kTileRowsAtOnce tile rows with all
// rows:
//   Block::multiply(block, next)   sums[t][row] += scale[t] * product
// and calls next.decode(t, k) once for every tile row and tile of `block`, between its products: so
// decoding the next block hides behind them.
#pragma once

#include <immintrin.h>

#include "ops/cpu/decode_avx512.h"
#include "ops/cpu/kernels.h"

namespace hadal::ops {
namespace {

constexpr int kTileRowsAtOnce = 4;
constexpr int64_t kBlockBytes = kBlockTiles * kDecodedTileBytes;
constexpr int64_t kSumsStride = kGemmRows * kTileOutputs;  // floats a tile row
constexpr int64_t kProductBytes = 4 * 16 * kTileOutputs * sizeof(float);

struct GemmBlock {
  const uint16_t* inputs = nullptr;  // bf16, the block's first input of row 0
  int64_t stride = 0;
  int rows = 0;  // readable up to the next multiple of 16
  int tiles = 0;
  int tile_rows = 0;
  const uint8_t* weights[kTileRowsAtOnce] = {};
  float scales[kTileRowsAtOnce] = {};
  float* sums = nullptr;     // [kTileRowsAtOnce, kGemmRows, kTileOutputs]
  float* product = nullptr;  // kProductBytes
};

struct GemmScratch {
  uint8_t* weights[2];  // decoded blocks of kTileRowsAtOnce tile rows, used in turn
  float* sums;
  float* product;
  // bf16 [kGemmRows, stride]. Rows behind the last one hold anything: no row uses another's.
  uint16_t* inputs;
  int64_t stride;
};

inline int64_t padded_inputs(int64_t inputs) {
  return (inputs + kTileInputs - 1) / kTileInputs * kTileInputs;
}

inline int64_t gemm_bf16_scratch_bytes(int64_t inputs) {
  return kTileRowsAtOnce * (2 * kBlockBytes + kSumsStride * int64_t{sizeof(float)}) +
         kProductBytes + kGemmRows * padded_inputs(inputs) * int64_t{sizeof(uint16_t)};
}

inline GemmScratch split_scratch(void* scratch, int64_t inputs) {
  auto* p = static_cast<uint8_t*>(scratch);
  GemmScratch s;
  s.weights[0] = p;
  s.weights[1] = p += kTileRowsAtOnce * kBlockBytes;
  s.sums = reinterpret_cast<float*>(p += kTileRowsAtOnce * kBlockBytes);
  s.product = reinterpret_cast<float*>(p += kTileRowsAtOnce * kSumsStride * sizeof(float));
  s.inputs = reinterpret_cast<uint16_t*>(p + kProductBytes);
  s.stride = padded_inputs(inputs);
  return s;
}

inline void round_row(uint16_t* out, const float* x, int64_t inputs, int64_t padded) {
  int64_t i = 0;
  for (; i + 16 <= inputs; i += 16) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x + i)));
  }
  if (i < padded) {
    const auto mask = static_cast<__mmask16>((1u << (inputs - i)) - 1);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + i)));
    i += 16;
  }
  if (i < padded) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_setzero_si256());
  }
}

inline void round_inputs(const GemmArgs& args, const GemmScratch& s) {
  for (int r = 0; r < args.rows; ++r) {
    const int64_t row = args.row_index != nullptr ? args.row_index[r] : r;
    round_row(s.inputs + r * s.stride, args.x + row * args.x_stride, args.weight->inputs, s.stride);
  }
}

inline void store_sums(const GemmArgs& args, int64_t tile_row, const float* sums) {
  const int64_t left = args.weight->outputs - tile_row * kTileOutputs;
  const auto mask = static_cast<__mmask16>(left >= kTileOutputs ? 0xFFFF : (1u << left) - 1);
  float* const out = args.out + (tile_row - args.tile_begin) * kTileOutputs;
  for (int r = 0; r < args.rows; ++r) {
    _mm512_mask_storeu_ps(out + r * args.out_stride, mask, _mm512_load_ps(sums + r * kTileOutputs));
  }
}

// The block after the one that is being multiplied.
class NextBlock {
 public:
  NextBlock(const MatrixView& w, const DecodeE4m3& e4m3, int64_t tile_row, int64_t index,
            uint8_t* buffer, const GemmBlock& block)
      : w_(w),
        e4m3_(e4m3),
        first_tile_(tile_row * w.tile_cols + index * kBlockTiles),
        buffer_(buffer),
        tiles_(block.tiles),
        tile_rows_(w.format == TileFormat::kBf16 ? 0 : block.tile_rows) {}

  // Tile k of tile row t. Nothing to do where the block ends before, or needs no decoding.
  HADAL_INLINE void decode(int t, int k) const {
    if (t >= tile_rows_ || k >= tiles_) return;
    decode_tile_bf16(w_, e4m3_, first_tile_ + t * w_.tile_cols + k,
                     buffer_ + t * kBlockBytes + k * kDecodedTileBytes);
  }

  // What a block of tile_rows x tiles does not cover.
  void decode_beyond(int tile_rows, int tiles) const {
    for (int t = 0; t < tile_rows_; ++t) {
      for (int k = 0; k < tiles_; ++k) {
        if (t >= tile_rows || k >= tiles) decode(t, k);
      }
    }
  }

 private:
  const MatrixView& w_;
  const DecodeE4m3& e4m3_;
  int64_t first_tile_;
  uint8_t* buffer_;
  int tiles_;
  int tile_rows_;
};

// The shape, weights and scales of block `index` of the tile rows from tile_row on.
inline GemmBlock make_block(const GemmArgs& args, const GemmScratch& s, int64_t tile_row,
                            int64_t index, const uint8_t* buffer) {
  const MatrixView& w = *args.weight;
  const int64_t tiles = w.tile_cols - index * kBlockTiles;
  const int64_t tile_rows = args.tile_end - tile_row;
  GemmBlock block{
      .inputs = s.inputs + index * kBlockInputs,
      .stride = s.stride,
      .rows = args.rows,
      .tiles = tiles < kBlockTiles ? static_cast<int>(tiles) : kBlockTiles,
      .tile_rows = tile_rows < kTileRowsAtOnce ? static_cast<int>(tile_rows) : kTileRowsAtOnce,
      .sums = s.sums,
      .product = s.product};
  for (int t = 0; t < block.tile_rows; ++t) {
    const int64_t tile = (tile_row + t) * w.tile_cols + index * kBlockTiles;
    block.weights[t] =
        w.format == TileFormat::kBf16 ? w.tiles + tile * w.tile_bytes : buffer + t * kBlockBytes;
    block.scales[t] = w.scales[(tile_row + t) * w.blocks + index];
  }
  return block;
}

template <typename Block>
void gemm_bf16(const GemmArgs& args) {
  const MatrixView& w = *args.weight;
  const GemmScratch s = split_scratch(args.scratch, w.inputs);
  const DecodeE4m3 e4m3;
  round_inputs(args, s);
  [[maybe_unused]] const typename Block::Session session;
  GemmBlock block = make_block(args, s, args.tile_begin, 0, s.weights[0]);
  NextBlock(w, e4m3, args.tile_begin, 0, s.weights[0], block).decode_beyond(0, 0);
  int turn = 0;
  for (int64_t tile_row = args.tile_begin; tile_row < args.tile_end; tile_row += kTileRowsAtOnce) {
    for (int t = 0; t < block.tile_rows; ++t) {
      __builtin_memset(s.sums + t * kSumsStride, 0,
                       sizeof(float) * kTileOutputs * static_cast<size_t>(args.rows));
    }
    const int tile_rows = block.tile_rows;
    for (int64_t index = 0; index < w.blocks; ++index) {
      const bool last = index + 1 == w.blocks;
      const int64_t next_row = last ? tile_row + kTileRowsAtOnce : tile_row;
      const int64_t next_index = last ? 0 : index + 1;
      turn = 1 - turn;
      GemmBlock following;  // without tile rows: the end
      if (next_row < args.tile_end) {
        following = make_block(args, s, next_row, next_index, s.weights[turn]);
      }
      const NextBlock next(w, e4m3, next_row, next_index, s.weights[turn], following);
      Block::multiply(block, next);
      next.decode_beyond(block.tile_rows, block.tiles);
      block = following;
    }
    for (int t = 0; t < tile_rows; ++t) store_sums(args, tile_row + t, s.sums + t * kSumsStride);
  }
}

}  // namespace
}  // namespace hadal::ops
