// Decoding of tiles to bf16 in the order of the dot-product instructions (packed_matrix.h), exact
// for every code: e4m3 and e2m1 times an e4m3 group scale have at most 6 significant bits. By table
// for e4m3: shifting its exponent into place would leave subnormals, which AVX512_BF16 and AMX
// flush to zero.
#pragma once

#include <immintrin.h>

#include "ops/cpu/kernels.h"
#include "ops/cpu/lanes.h"
#include "ops/cpu/numeric_formats.h"

namespace hadal::ops {
namespace {

constexpr int kDecodedTileBytes = kTileOutputs * kTileInputs * 2;

// The low and the high byte of bf16 by the 7 magnitude bits of an e4m3 code.
struct E4m3Tables {
  alignas(64) uint8_t low[128];
  alignas(64) uint8_t high[128];
};

constexpr E4m3Tables make_e4m3_tables() {
  E4m3Tables t{};
  for (int code = 0; code < 128; ++code) {
    int exponent = code >> 3, mantissa = code & 7;
    uint32_t bits = 0;
    if (exponent > 0) {
      bits = static_cast<uint32_t>((exponent + 120) << 7 | mantissa << 4);
    } else if (mantissa > 0) {  // mantissa * 2^-9, normalised
      int shift = 0;
      while ((mantissa << shift & 8) == 0) ++shift;
      bits = static_cast<uint32_t>((121 - shift) << 7 | (mantissa << shift & 7) << 4);
    }
    t.low[code] = static_cast<uint8_t>(bits);
    t.high[code] = static_cast<uint8_t>(bits >> 8);
  }
  return t;
}

alignas(64) constexpr E4m3Tables kE4m3Tables = make_e4m3_tables();

// Decodes e4m3 tiles; keeps the tables in registers.
class DecodeE4m3 {
 public:
  DecodeE4m3()
      : low0_(_mm512_load_si512(kE4m3Tables.low)),
        low1_(_mm512_load_si512(kE4m3Tables.low + 64)),
        high0_(_mm512_load_si512(kE4m3Tables.high)),
        high1_(_mm512_load_si512(kE4m3Tables.high + 64)) {}

  void tile(const uint8_t* bytes, uint8_t* out) const {
    for (int i = 0; i < kTileInputs * kTileOutputs / 64; ++i) {
      const __m512i codes = _mm512_load_si512(bytes + i * 64);
      const __m512i low = _mm512_permutex2var_epi8(low0_, codes, low1_);
      const __m512i magnitude = _mm512_permutex2var_epi8(high0_, codes, high1_);
      // magnitude | (codes & 0x80)
      const __m512i high =
          _mm512_ternarylogic_epi32(magnitude, codes, _mm512_set1_epi8(int8_t(0x80)), 0xF8);
      _mm512_store_si512(out + i * 128, _mm512_unpacklo_epi8(low, high));
      _mm512_store_si512(out + i * 128 + 64, _mm512_unpackhi_epi8(low, high));
    }
  }

 private:
  __m512i low0_, low1_, high0_, high1_;
};

// Sixteen e4m3 group scales to fp32, through fp16 (decode_avx2.h).
inline __m512 group_scales(const uint8_t* groups) {
  const __m256i codes =
      _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(groups)));
  const __m256i magnitude = _mm256_slli_epi16(_mm256_and_si256(codes, _mm256_set1_epi16(0x7F)), 7);
  const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(codes, _mm256_set1_epi16(0x80)), 8);
  return _mm512_mul_ps(_mm512_cvtph_ps(_mm256_or_si256(magnitude, sign)), _mm512_set1_ps(256.0F));
}

inline void decode_e2m1_tile(const uint8_t* bytes, const uint8_t* groups, uint8_t* out) {
  const __m512 values = _mm512_loadu_ps(kE2m1Values);
  for (int word = 0; word < kTileInputs / 8; ++word) {
    const __m512 scale = group_scales(groups + word / 2 * kTileOutputs);
    __m512i codes = _mm512_load_si512(bytes + word * 64);
    for (int pair = 0; pair < 4; ++pair, codes = _mm512_srli_epi32(codes, 8)) {
      const __m512 even = _mm512_mul_ps(_mm512_permutexvar_ps(codes, values), scale);
      const __m512 odd =
          _mm512_mul_ps(_mm512_permutexvar_ps(_mm512_srli_epi32(codes, 4), values), scale);
      // Both are exact in bf16: their low halves are zero.
      _mm512_store_si512(out + (word * 4 + pair) * 64,
                         _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(even), 16),
                                         _mm512_castps_si512(odd)));
    }
  }
}

// One tile to bf16. REQUIRES: the format is not bf16 already.
HADAL_INLINE void decode_tile_bf16(const MatrixView& w, const DecodeE4m3& e4m3, int64_t tile_index,
                                   uint8_t* out) {
  const uint8_t* const bytes = w.tiles + tile_index * w.tile_bytes;
  if (w.format == TileFormat::kE4m3) {
    e4m3.tile(bytes, out);
  } else {
    decode_e2m1_tile(bytes, w.groups + tile_index * 2 * kTileOutputs, out);
  }
}

}  // namespace
}  // namespace hadal::ops
