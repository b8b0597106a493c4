// Decoding of tiles to fp32 with AVX2 and F16C.
#pragma once

#include <immintrin.h>

#include "ops/cpu/kernels.h"
#include "ops/cpu/numeric_formats.h"

namespace hadal::ops {
namespace {

// Eight e4m3 codes, widened to 16 bits, to fp32. Shifted by 7 an e4m3 code is an fp16 number 2^8
// times smaller; the hardware conversion of fp16 is exact for subnormals in every rounding mode.
inline __m256 e4m3_to_f32x8(__m128i codes) {
  const __m128i magnitude = _mm_slli_epi16(_mm_and_si128(codes, _mm_set1_epi16(0x7F)), 7);
  const __m128i sign = _mm_slli_epi16(_mm_and_si128(codes, _mm_set1_epi16(0x80)), 8);
  return _mm256_mul_ps(_mm256_cvtph_ps(_mm_or_si128(magnitude, sign)), _mm256_set1_ps(256.0F));
}

struct DecodeAvx2 {
  static void tile(const MatrixView& w, int64_t tile_index, float* out) {
    const uint8_t* const bytes = w.tiles + tile_index * w.tile_bytes;
    switch (w.format) {
      case TileFormat::kBf16:
        return bf16(bytes, out);
      case TileFormat::kE4m3:
        return e4m3(bytes, out);
      case TileFormat::kE2m1:
        return e2m1(bytes, w.groups + tile_index * 2 * kTileOutputs, out);
    }
  }

 private:
  static void bf16(const uint8_t* bytes, float* out) {
    for (int pair = 0; pair < kTileInputs / 2; ++pair) {
      for (int half = 0; half < 2; ++half) {
        const __m256i v = load(bytes + (pair * 2 + half) * 32);
        float* const target = out + pair * 2 * kTileOutputs + half * 8;
        _mm256_storeu_ps(target, _mm256_castsi256_ps(_mm256_slli_epi32(v, 16)));
        _mm256_storeu_ps(target + kTileOutputs, _mm256_castsi256_ps(_mm256_and_si256(
                                                    v, _mm256_set1_epi32(int(0xFFFF0000)))));
      }
    }
  }

  // Each 16-byte lane holds 4 outputs: 8 bytes of one input pair, then 8 of the next.
  static void e4m3(const uint8_t* bytes, float* out) {
    const __m256i even_then_odd = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    for (int lane = 0; lane < kTileInputs * kTileOutputs / 8; ++lane) {
      const __m128i codes =
          _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + lane * 8)));
      const __m256 v = _mm256_permutevar8x32_ps(e4m3_to_f32x8(codes), even_then_odd);
      const int input = lane / 8 * 4 + lane % 2 * 2;
      float* const target = out + input * kTileOutputs + lane / 2 % 4 * 4;
      _mm_storeu_ps(target, _mm256_castps256_ps128(v));
      _mm_storeu_ps(target + kTileOutputs, _mm256_extractf128_ps(v, 1));
    }
  }

  static void e2m1(const uint8_t* bytes, const uint8_t* groups, float* out) {
    const __m256 magnitudes = _mm256_loadu_ps(kE2m1Values);
    for (int half = 0; half < 2; ++half) {
      for (int word = 0; word < kTileInputs / 8; ++word) {
        const __m256 scale = e4m3_to_f32x8(_mm_cvtepu8_epi16(_mm_loadl_epi64(
            reinterpret_cast<const __m128i*>(groups + word / 2 * kTileOutputs + half * 8))));
        __m256i codes = load(bytes + word * 64 + half * 32);
        for (int j = 0; j < 8; ++j, codes = _mm256_srli_epi32(codes, 4)) {
          const __m256 sign = _mm256_castsi256_ps(
              _mm256_slli_epi32(_mm256_and_si256(codes, _mm256_set1_epi32(8)), 28));
          const __m256 value = _mm256_xor_ps(_mm256_permutevar8x32_ps(magnitudes, codes), sign);
          _mm256_storeu_ps(out + (word * 8 + j) * kTileOutputs + half * 8,
                           _mm256_mul_ps(value, scale));
        }
      }
    }
  }

  static __m256i load(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
};

}  // namespace
}  // namespace hadal::ops
