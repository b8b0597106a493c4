// The AVX-512 path: products of bf16 pairs by vdpbf16ps.
#include "ops/cpu/attend_bf16.h"
#include "ops/cpu/decode_avx2.h"
#include "ops/cpu/elementwise.h"
#include "ops/cpu/gemm_bf16.h"
#include "ops/cpu/gemm_f32.h"

namespace hadal::ops {
namespace {

// Two partial sums an output, of even and odd input pairs, added at the end of the block.
struct BlockAvx512 {
  struct Session {};

  static void multiply(const GemmBlock& b, const NextBlock& next) {
    for (int t = 0; t < b.tile_rows; ++t) {
      for (int k = 0; k < b.tiles; ++k) next.decode(t, k);
      float* const sum = b.sums + t * kSumsStride;
      int r = 0;
      for (; r + 4 <= b.rows; r += 4) {
        rows_of<4>(b.inputs + r * b.stride, b.stride, b.weights[t], b.tiles, b.scales[t],
                   sum + r * kTileOutputs);
      }
      for (; r < b.rows; ++r) {
        rows_of<1>(b.inputs + r * b.stride, b.stride, b.weights[t], b.tiles, b.scales[t],
                   sum + r * kTileOutputs);
      }
    }
  }

 private:
  template <int kRows>
  static void rows_of(const uint16_t* inputs, int64_t stride, const uint8_t* weights, int tiles,
                      float scale, float* sums) {
    __m512 part[kRows][2];
    for (auto& p : part) p[0] = p[1] = _mm512_setzero_ps();
    for (int pair = 0; pair < tiles * kTileInputs / 2; pair += 2) {
      for (int j = 0; j < 2; ++j) {
        const auto w = (__m512bh)_mm512_load_si512(weights + (pair + j) * 64);
        for (int r = 0; r < kRows; ++r) {
          int32_t x;
          __builtin_memcpy(&x, inputs + r * stride + (pair + j) * 2, sizeof(x));
          part[r][j] = _mm512_dpbf16_ps(part[r][j], (__m512bh)_mm512_set1_epi32(x), w);
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      const __m512 sum = _mm512_load_ps(sums + r * kTileOutputs);
      const __m512 product = _mm512_add_ps(part[r][0], part[r][1]);
      _mm512_store_ps(sums + r * kTileOutputs,
                      _mm512_fmadd_ps(product, _mm512_set1_ps(scale), sum));
    }
  }
};

struct AttendAvx512 {
  struct Session {};

  // Four tokens at a time, a lane a query.
  static void scores(float* scores, const uint16_t* page, int kv_dim, int token_tiles,
                     const uint8_t* queries) {
    for (int s = 0; s < token_tiles * 16; s += 4) {
      __m512 sum[4] = {};
      for (int pair = 0; pair < kv_dim / 2; ++pair) {
        const auto q = (__m512bh)_mm512_load_si512(queries + pair * 64);
        for (int i = 0; i < 4; ++i) {
          sum[i] = _mm512_dpbf16_ps(sum[i], pair_of(page + (s + i) * kv_dim + 2 * pair), q);
        }
      }
      for (int i = 0; i < 4; ++i) _mm512_store_ps(scores + (s + i) * 16, sum[i]);
    }
  }

  static void values(float* out, int latent, const uint16_t* probabilities, const uint8_t* values,
                     int steps, int queries) {
    for (int q = 0; q < queries; ++q) {
      __m512 sum[kValueTiles];
      for (int t = 0; t < kValueTiles; ++t) sum[t] = _mm512_load_ps(out + q * latent + t * 16);
      for (int pair = 0; pair < steps * 16; ++pair) {
        const uint8_t* const rows = values + (pair / 16 * kValueTiles * 16 + pair % 16) * 64;
        const __m512bh p = pair_of(probabilities + q * kAttendPage + 2 * pair);
        for (int t = 0; t < kValueTiles; ++t) {
          sum[t] = _mm512_dpbf16_ps(sum[t], p, (__m512bh)_mm512_load_si512(rows + t * kTileBytes));
        }
      }
      for (int t = 0; t < kValueTiles; ++t) _mm512_store_ps(out + q * latent + t * 16, sum[t]);
    }
  }

 private:
  // Two neighbouring bf16 values in every lane.
  static __m512bh pair_of(const uint16_t* p) {
    int32_t pair;
    __builtin_memcpy(&pair, p, sizeof(pair));
    return (__m512bh)_mm512_set1_epi32(pair);
  }
};

}  // namespace

const KernelTable& avx512_kernels() {
  static constexpr KernelTable kTable{.gemm_scratch_bytes = gemm_bf16_scratch_bytes,
                                      .gemm = gemm_bf16<BlockAvx512>,
                                      .gemm_f32 = gemm_f32<DecodeAvx2>,
                                      .attend_scratch_bytes = attend_bf16_scratch_bytes,
                                      .attend = attend_bf16<AttendAvx512>,
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
