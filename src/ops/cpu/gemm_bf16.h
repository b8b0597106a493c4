// What the two bf16 paths share: inputs rounded to bf16 in a padded array, blocks of decoded
// weights, and the sum over blocks in fp32. `Block` multiplies one block of one or two tile rows
// with all rows:
//   Block::multiply(inputs, stride, rows, weights[2], tile_rows, tiles, scales[2], sums)
// with sums[t][row][kTileOutputs] += scale[t] * product.
#pragma once

#include <immintrin.h>

#include "ops/cpu/decode_avx512.h"
#include "ops/cpu/kernels.h"

namespace hadal::ops {
namespace {

constexpr int kRowsPadded = 16;  // rows of the input array are padded to a multiple of this

struct GemmScratch {
  // bf16 [kGemmRows, inputs padded to tiles]
  uint16_t* inputs;
  int64_t stride;
  uint8_t* weights;  // two blocks of decoded tiles
  float* sums;       // [2, kGemmRows, kTileOutputs]
  float* product;    // for Block
};

constexpr int64_t kBlockBytes = kBlockTiles * kDecodedTileBytes;
constexpr int64_t kSumsBytes = 2 * kGemmRows * kTileOutputs * sizeof(float);
constexpr int64_t kProductBytes = 4 * 16 * kTileOutputs * sizeof(float);

inline int64_t padded_inputs(int64_t inputs) {
  return (inputs + kTileInputs - 1) / kTileInputs * kTileInputs;
}

inline int64_t gemm_bf16_scratch_bytes(int64_t inputs) {
  return 2 * kBlockBytes + kSumsBytes + kProductBytes +
         kGemmRows * padded_inputs(inputs) * int64_t{sizeof(uint16_t)};
}

inline GemmScratch split_scratch(void* scratch, int64_t inputs) {
  auto* p = static_cast<uint8_t*>(scratch);
  GemmScratch s;
  s.weights = p;
  s.sums = reinterpret_cast<float*>(p += 2 * kBlockBytes);
  s.product = reinterpret_cast<float*>(p += kSumsBytes);
  s.inputs = reinterpret_cast<uint16_t*>(p += kProductBytes);
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
  const int padded = (args.rows + kRowsPadded - 1) / kRowsPadded * kRowsPadded;
  if (padded > args.rows) {
    __builtin_memset(s.inputs + args.rows * s.stride, 0,
                     static_cast<size_t>((padded - args.rows) * s.stride) * sizeof(uint16_t));
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

template <typename Block>
void gemm_bf16(const GemmArgs& args) {
  const MatrixView& w = *args.weight;
  const GemmScratch s = split_scratch(args.scratch, w.inputs);
  const DecodeE4m3 e4m3;
  round_inputs(args, s);
  [[maybe_unused]] const typename Block::Session session;
  for (int64_t tile_row = args.tile_begin; tile_row < args.tile_end; tile_row += 2) {
    const int tile_rows = tile_row + 1 < args.tile_end ? 2 : 1;
    __builtin_memset(s.sums, 0, kSumsBytes);
    for (int64_t block = 0; block < w.blocks; ++block) {
      const int64_t left = w.tile_cols - block * kBlockTiles;
      const int tiles = left < kBlockTiles ? static_cast<int>(left) : kBlockTiles;
      const uint8_t* weights[2];
      float scales[2];
      for (int t = 0; t < tile_rows; ++t) {
        weights[t] =
            decode_block_bf16(w, e4m3, tile_row + t, block, tiles, s.weights + t * kBlockBytes);
        scales[t] = w.scales[(tile_row + t) * w.blocks + block];
      }
      Block::multiply(s.inputs + block * kBlockInputs, s.stride, args.rows, weights, tile_rows,
                      tiles, scales, s.sums, s.product);
    }
    for (int t = 0; t < tile_rows; ++t) {
      store_sums(args, tile_row + t, s.sums + t * kGemmRows * kTileOutputs);
    }
  }
}

}  // namespace
}  // namespace hadal::ops
