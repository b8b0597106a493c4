// The AMX path: products of bf16 tiles.
#include "ops/cpu/amx_tiles.h"
#include "ops/cpu/attend_bf16.h"
#include "ops/cpu/decode_avx2.h"
#include "ops/cpu/elementwise.h"
#include "ops/cpu/gemm_bf16.h"
#include "ops/cpu/gemm_f32.h"

namespace hadal::ops {
namespace {

// Tiles 0 to 3: products [row half][tile row]; 4, 5: inputs; 6, 7: weights. A row's product over a
// block is the hardware's sum over four tiles in order, the same for every number of rows.
struct BlockAmx {
  using Session = AmxSession;

  static void multiply(const uint16_t* inputs, int64_t stride, int rows,
                       const uint8_t* const weights[2], int tile_rows, int tiles,
                       const float scales[2], float* sums, float* product) {
    for (int r = 0; r < rows; r += 32) {
      const int left = rows - r < 32 ? rows - r : 32;
      const uint16_t* const x = inputs + r * stride;
      if (left > 16 && tile_rows == 2) {
        multiply_2x2(x, stride, weights, tiles, product);
      } else {
        multiply_each(x, stride, left, weights, tile_rows, tiles, product);
      }
      for (int t = 0; t < tile_rows; ++t) {
        add(sums + (t * kGemmRows + r) * kTileOutputs, product + t * 32 * kTileOutputs, left,
            scales[t]);
      }
    }
  }

 private:
  static constexpr int kProductStride = kTileOutputs * sizeof(float);

  // product [tile row][32][kTileOutputs].
  static void multiply_2x2(const uint16_t* x, int64_t stride, const uint8_t* const weights[2],
                           int tiles, float* product) {
    const int64_t bytes = stride * 2;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int t = 0; t < tiles; ++t) {
      _tile_loadd(4, x + t * kTileInputs, bytes);
      _tile_loadd(5, x + t * kTileInputs + 16 * stride, bytes);
      _tile_loadd(6, weights[0] + t * kDecodedTileBytes, 64);
      _tile_loadd(7, weights[1] + t * kDecodedTileBytes, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, product, kProductStride);
    _tile_stored(2, product + 16 * kTileOutputs, kProductStride);
    _tile_stored(1, product + 32 * kTileOutputs, kProductStride);
    _tile_stored(3, product + 48 * kTileOutputs, kProductStride);
  }

  static void multiply_each(const uint16_t* x, int64_t stride, int rows,
                            const uint8_t* const weights[2], int tile_rows, int tiles,
                            float* product) {
    for (int first = 0; first < rows; first += 16) {
      _tile_zero(0);
      _tile_zero(1);
      for (int t = 0; t < tiles; ++t) {
        _tile_loadd(4, x + first * stride + t * kTileInputs, stride * 2);
        _tile_loadd(6, weights[0] + t * kDecodedTileBytes, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (tile_rows == 2) {
          _tile_loadd(7, weights[1] + t * kDecodedTileBytes, 64);
          _tile_dpbf16ps(1, 4, 7);
        }
      }
      _tile_stored(0, product + first * kTileOutputs, kProductStride);
      if (tile_rows == 2) _tile_stored(1, product + (32 + first) * kTileOutputs, kProductStride);
    }
  }

  static void add(float* sums, const float* product, int rows, float scale) {
    const __m512 factor = _mm512_set1_ps(scale);
    for (int r = 0; r < rows; ++r) {
      float* const sum = sums + r * kTileOutputs;
      _mm512_store_ps(sum, _mm512_fmadd_ps(_mm512_load_ps(product + r * kTileOutputs), factor,
                                           _mm512_load_ps(sum)));
    }
  }
};

struct AttendAmx {
  using Session = AmxSession;

  // Tiles 0 to 3: scores of 16 tokens each; 4: queries; 5: entries.
  static void scores(float* scores, const uint16_t* page, int kv_dim, int token_tiles,
                     const uint8_t* queries) {
    const int64_t stride = int64_t{kv_dim} * 2;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int c = 0; c < kv_dim; c += 32, queries += kTileBytes) {
      _tile_loadd(4, queries, 64);
      _tile_loadd(5, page + c, stride);
      _tile_dpbf16ps(0, 5, 4);
      if (token_tiles > 1) {
        _tile_loadd(6, page + 16 * kv_dim + c, stride);
        _tile_dpbf16ps(1, 6, 4);
      }
      if (token_tiles > 2) {
        _tile_loadd(7, page + 32 * kv_dim + c, stride);
        _tile_dpbf16ps(2, 7, 4);
      }
      if (token_tiles > 3) {
        _tile_loadd(5, page + 48 * kv_dim + c, stride);
        _tile_dpbf16ps(3, 5, 4);
      }
    }
    _tile_stored(0, scores, 64);
    _tile_stored(1, scores + 16 * 16, 64);
    _tile_stored(2, scores + 32 * 16, 64);
    _tile_stored(3, scores + 48 * 16, 64);
  }

  // Tiles 0 to 3: outputs of 16 columns each; 4: probabilities; 5, 6: values.
  static void values(float* out, int latent, const uint16_t* probabilities, const uint8_t* values,
                     int steps, int) {
    const int64_t stride = int64_t{latent} * 4;
    _tile_loadd(0, out, stride);
    _tile_loadd(1, out + 16, stride);
    _tile_loadd(2, out + 32, stride);
    _tile_loadd(3, out + 48, stride);
    for (int step = 0; step < steps; ++step, values += kValueTiles * kTileBytes) {
      _tile_loadd(4, probabilities + step * kTokensPerStep, kAttendPage * 2);
      _tile_loadd(5, values, 64);
      _tile_dpbf16ps(0, 4, 5);
      _tile_loadd(6, values + kTileBytes, 64);
      _tile_dpbf16ps(1, 4, 6);
      _tile_loadd(5, values + 2 * kTileBytes, 64);
      _tile_dpbf16ps(2, 4, 5);
      _tile_loadd(6, values + 3 * kTileBytes, 64);
      _tile_dpbf16ps(3, 4, 6);
    }
    _tile_stored(0, out, stride);
    _tile_stored(1, out + 16, stride);
    _tile_stored(2, out + 32, stride);
    _tile_stored(3, out + 48, stride);
  }
};

}  // namespace

const KernelTable& amx_kernels() {
  static constexpr KernelTable kTable{.gemm_scratch_bytes = gemm_bf16_scratch_bytes,
                                      .gemm = gemm_bf16<BlockAmx>,
                                      .gemm_f32 = gemm_f32<DecodeAvx2>,
                                      .attend_scratch_bytes = attend_bf16_scratch_bytes,
                                      .attend = attend_bf16<AttendAmx>,
                                      .merge_split = merge_split,
                                      .rms_norm = rms_norm,
                                      .add_rms_norm = add_rms_norm,
                                      .silu_mul = silu_mul,
                                      .sigmoid = sigmoid,
                                      .add_scaled = add_scaled,
                                      .to_bf16 = to_bf16,
                                      .from_bf16 = from_bf16};
  return kTable;
}

}  // namespace hadal::ops
