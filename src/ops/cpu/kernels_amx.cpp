// The AMX path: products of bf16 tiles.
#include "ops/cpu/amx_tiles.h"
#include "ops/cpu/attend_bf16.h"
#include "ops/cpu/decode_avx2.h"
#include "ops/cpu/elementwise.h"
#include "ops/cpu/gemm_bf16.h"
#include "ops/cpu/gemm_f32.h"

namespace hadal::ops {
namespace {

// A row's product over a block is the hardware's sum over the block's tiles in order, the same for
// every number of rows. A dot product of two tiles takes 16 cycles and its result comes after 52:
// four sums are kept going at once.
struct BlockAmx {
  using Session = AmxSession;

  static void multiply(const GemmBlock& b, const NextBlock& next) {
    for (int r = 0; r < b.rows; r += 32) {
      if (b.rows - r <= 16) {
        multiply_16(b, r, r == 0 ? &next : nullptr);
        for (int t = 0; t < b.tile_rows; ++t) store_and_add(b, t, t, r);
        return;
      }
      for (int t = 0; t < b.tile_rows; t += 2) {
        multiply_32(b, r, t, r == 0 ? &next : nullptr);
        store_and_add(b, 0, t, r);
        store_and_add(b, 2, t, r + 16);
        if (t + 1 < b.tile_rows) {
          store_and_add(b, 1, t + 1, r);
          store_and_add(b, 3, t + 1, r + 16);
        }
      }
    }
  }

 private:
  // 16 rows from r on with up to four tile rows: tile t is the product of tile row t.
  static void multiply_16(const GemmBlock& b, int r, const NextBlock* next) {
    const uint16_t* const x = b.inputs + r * b.stride;
    zero();
    for (int k = 0; k < b.tiles; ++k) {
      const int64_t at = k * kDecodedTileBytes;
      _tile_loadd(4, x + k * kTileInputs, b.stride * 2);
      _tile_loadd(5, b.weights[0] + at, 64);
      _tile_dpbf16ps(0, 4, 5);
      if (next != nullptr) next->decode(0, k);
      if (b.tile_rows > 1) {
        _tile_loadd(6, b.weights[1] + at, 64);
        _tile_dpbf16ps(1, 4, 6);
        if (next != nullptr) next->decode(1, k);
      }
      if (b.tile_rows > 2) {
        _tile_loadd(7, b.weights[2] + at, 64);
        _tile_dpbf16ps(2, 4, 7);
        if (next != nullptr) next->decode(2, k);
      }
      if (b.tile_rows > 3) {
        _tile_loadd(5, b.weights[3] + at, 64);
        _tile_dpbf16ps(3, 4, 5);
        if (next != nullptr) next->decode(3, k);
      }
    }
  }

  // 32 rows from r on with tile rows t and t + 1: tiles 0 and 2 are the products of the first,
  // 1 and 3 of the second.
  static void multiply_32(const GemmBlock& b, int r, int t, const NextBlock* next) {
    const uint16_t* const x = b.inputs + r * b.stride;
    const bool second = t + 1 < b.tile_rows;
    zero();
    for (int k = 0; k < b.tiles; ++k) {
      const int64_t at = k * kDecodedTileBytes;
      _tile_loadd(4, x + k * kTileInputs, b.stride * 2);
      _tile_loadd(5, x + 16 * b.stride + k * kTileInputs, b.stride * 2);
      _tile_loadd(6, b.weights[t] + at, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(2, 5, 6);
      if (next != nullptr) next->decode(t, k);
      if (second) {
        _tile_loadd(7, b.weights[t + 1] + at, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
        if (next != nullptr) next->decode(t + 1, k);
      }
    }
  }

  static void zero() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }

  // sums of tile row t, rows from r on, += scale * tile `tile`.
  static void store_and_add(const GemmBlock& b, int tile, int t, int r) {
    float* const product = b.product + tile * 16 * kTileOutputs;
    constexpr int kStride = kTileOutputs * sizeof(float);
    switch (tile) {  // the instruction wants a constant
      case 0:
        _tile_stored(0, product, kStride);
        break;
      case 1:
        _tile_stored(1, product, kStride);
        break;
      case 2:
        _tile_stored(2, product, kStride);
        break;
      default:
        _tile_stored(3, product, kStride);
        break;
    }
    const int rows = b.rows - r < 16 ? b.rows - r : 16;
    const __m512 factor = _mm512_set1_ps(b.scales[t]);
    float* const sums = b.sums + t * kSumsStride + r * kTileOutputs;
    for (int i = 0; i < rows * kTileOutputs; i += kTileOutputs) {
      _mm512_store_ps(
          sums + i, _mm512_fmadd_ps(_mm512_load_ps(product + i), factor, _mm512_load_ps(sums + i)));
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
