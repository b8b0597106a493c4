// Attention over cache pages with bf16 products, for the AVX-512 and AMX paths. Up to 16 queries
// share the cache entries as the columns of one tile:
//   scores [token, query] = page [token, kv_dim] x queries^T       entries as they lie in the page
//   out [query, latent]  += probabilities [query, token] x page    entry pairs interleaved
// Softmax statistics and sums are fp32, a lane a query. Every lane's arithmetic is its own: what a
// query must not see has probability 0, and adding 0 or scaling by 1 is exact.
// `Product` multiplies; shapes need latent and kv_dim to be multiples of 64 and 32.
#pragma once

#include <immintrin.h>

#include "ops/cpu/attend_f32.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/lanes.h"

namespace hadal::ops {
namespace {

constexpr int kTileBytes = 1024;    // 16 rows of 64 bytes
constexpr int kTokensPerStep = 32;  // tokens one product of probabilities and values covers
constexpr int kStepsPerPage = kAttendPage / kTokensPerStep;
constexpr int kValueTiles = 4;  // tiles of 16 latent columns interleaved at a time
constexpr int kColumnsAtOnce = 16 * kValueTiles;

struct AttendScratch {
  uint8_t* queries;         // [kv_dim / 32] tiles: 16 pairs of columns x 16 queries
  float* scores;            // [kAttendPage, 16 queries], then their exponentials
  uint16_t* probabilities;  // [16 queries, kAttendPage] bf16
  uint8_t* values;          // [kStepsPerPage, kValueTiles] tiles: 16 pairs of tokens x 16 columns
  float* out;               // [16 queries, latent], columns in the order of the interleaving
};

inline int64_t attend_bf16_scratch_bytes(int kv_dim) {
  return int64_t{kv_dim} / 32 * kTileBytes + kAttendPage * 16 * 4 + 16 * kAttendPage * 2 +
         kStepsPerPage * kValueTiles * kTileBytes + int64_t{16} * kv_dim * 4;
}

inline AttendScratch split_attend_scratch(const AttendArgs& args) {
  auto* p = static_cast<uint8_t*>(args.scratch);
  AttendScratch s;
  s.queries = p;
  s.scores = reinterpret_cast<float*>(p += args.kv_dim / 32 * kTileBytes);
  s.probabilities = reinterpret_cast<uint16_t*>(p += kAttendPage * 16 * 4);
  s.values = p += 16 * kAttendPage * 2;
  s.out = reinterpret_cast<float*>(p + kStepsPerPage * kValueTiles * kTileBytes);
  return s;
}

// Transposes 16 x 16 words of 32 bits.
HADAL_INLINE void transpose16(__m512i (&r)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xDD);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xDD);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xDD);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xDD);
  }
}

inline void pack_queries(const AttendArgs& args, uint8_t* out) {
  for (int c = 0; c < args.kv_dim; c += 32, out += kTileBytes) {
    __m512i rows[16];
    for (int q = 0; q < 16; ++q) {
      const float* const x = args.q + q * args.kv_dim + c;
      rows[q] = q < args.queries
                    ? (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x))
                    : _mm512_setzero_si512();
    }
    transpose16(rows);
    for (int i = 0; i < 16; ++i) _mm512_store_si512(out + i * 64, rows[i]);
  }
}

HADAL_INLINE __m512 exp_ps(__m512 x) {
  return (__m512)exp16({{(F32Part)x}}).part[0];
}

// The statistics of 16 queries.
struct Softmax {
  __m512 maximum = _mm512_set1_ps(-__builtin_inff());
  __m512 sum = _mm512_setzero_ps();
  __m512i positions;

  __mmask16 sees(int64_t position) const {
    return _mm512_cmpge_epi32_mask(positions, _mm512_set1_epi32(static_cast<int>(position)));
  }

  // Scores -> exponentials in place, of the `count` entries from `first` on. Returns the factor
  // that earlier sums and outputs are rescaled by.
  __m512 update(float* scores, int64_t first, int64_t count) {
    __m512 top = maximum;
    for (int64_t s = 0; s < count; ++s) {
      const __m512 score = _mm512_load_ps(scores + s * 16);
      top = _mm512_mask_max_ps(top, sees(first + s), score, top);  // a NaN score leaves top
    }
    // Where nothing has been seen yet, -inf - -inf would be NaN.
    const __mmask16 some = _mm512_cmp_ps_mask(top, _mm512_set1_ps(-__builtin_inff()), _CMP_NEQ_OQ);
    const __m512 base = _mm512_maskz_mov_ps(some, top);
    const __m512 factor = exp_ps(_mm512_sub_ps(maximum, base));
    sum = _mm512_mul_ps(sum, factor);
    for (int64_t s = 0; s < count; ++s) {
      const __m512 score = _mm512_load_ps(scores + s * 16);
      const __m512 e = exp_ps(_mm512_sub_ps(score, base));
      const __m512 masked = _mm512_maskz_mov_ps(sees(first + s), e);
      _mm512_store_ps(scores + s * 16, masked);
      sum = _mm512_add_ps(sum, masked);
    }
    maximum = top;
    return factor;
  }
};

// exponentials [token, query] f32 -> [query, token] bf16, zero behind `count`.
inline void pack_probabilities(const float* exponentials, int64_t count, uint16_t* out) {
  for (int step = 0; step * kTokensPerStep < count; ++step) {
    __m512i pairs[16];
    for (int i = 0; i < 16; ++i) {
      const int64_t s = step * kTokensPerStep + 2 * i;
      const __m512 even = s < count ? _mm512_load_ps(exponentials + s * 16) : _mm512_setzero_ps();
      const __m512 odd =
          s + 1 < count ? _mm512_load_ps(exponentials + (s + 1) * 16) : _mm512_setzero_ps();
      const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
      const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
      pairs[i] = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
    }
    transpose16(pairs);
    for (int q = 0; q < 16; ++q) {
      _mm512_storeu_si512(out + q * kAttendPage + step * kTokensPerStep, pairs[q]);
    }
  }
}

// Zeroes infinities and NaNs: needed where a query must not see an entry, as 0 * NaN is NaN. A
// query that does see it has a NaN score already.
HADAL_INLINE __m512i finite_or_zero(__m512i v) {
  const __m512i exponent = _mm512_set1_epi16(0x7F80);
  const __mmask32 finite = _mm512_cmpneq_epi16_mask(_mm512_and_si512(v, exponent), exponent);
  return _mm512_maskz_mov_epi16(finite, v);
}

// Interleaves pairs of entries over kColumnsAtOnce columns from `column` on; zeros behind `count`.
// Within 32 columns, a tile holds columns 8 l + {0, 1, 2, 3}, the next 8 l + {4, 5, 6, 7}.
inline void pack_values(const uint16_t* page, int kv_dim, int64_t count, int column, bool masked,
                        uint8_t* out) {
  const int steps = count > kTokensPerStep ? 2 : 1;
  for (int pair = 0; pair < steps * 16; ++pair) {
    uint8_t* const rows = out + (pair / 16 * kValueTiles * 16 + pair % 16) * 64;
    for (int half = 0; half < kValueTiles / 2; ++half) {
      const uint16_t* const x = page + 2 * pair * kv_dim + column + half * 32;
      __m512i even = 2 * pair < count ? _mm512_loadu_si512(x) : _mm512_setzero_si512();
      __m512i odd = 2 * pair + 1 < count ? _mm512_loadu_si512(x + kv_dim) : _mm512_setzero_si512();
      if (masked) {
        even = finite_or_zero(even);
        odd = finite_or_zero(odd);
      }
      _mm512_store_si512(rows + half * 2 * kTileBytes, _mm512_unpacklo_epi16(even, odd));
      _mm512_store_si512(rows + (half * 2 + 1) * kTileBytes, _mm512_unpackhi_epi16(even, odd));
    }
  }
}

// out [query, latent] *= factor[query].
inline void rescale(float* out, int queries, int latent, __m512 factor) {
  if (_mm512_cmp_ps_mask(factor, _mm512_set1_ps(1.0F), _CMP_NEQ_UQ) == 0) return;  // exact
  alignas(64) float f[16];
  _mm512_store_ps(f, factor);
  for (int q = 0; q < queries; ++q) {
    const __m512 by = _mm512_set1_ps(f[q]);
    for (int i = 0; i < latent; i += 16) {
      float* const p = out + q * latent + i;
      _mm512_store_ps(p, _mm512_mul_ps(_mm512_load_ps(p), by));
    }
  }
}

// Undoes the column order of pack_values().
inline void unpack_out(const float* packed, float* out, int latent) {
  const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
  for (int i = 0; i < latent; i += 32) {
    const __m512 low = _mm512_load_ps(packed + i), high = _mm512_load_ps(packed + i + 16);
    _mm512_storeu_ps(out + i, _mm512_permutex2var_ps(low, first, high));
    _mm512_storeu_ps(out + i + 16, _mm512_permutex2var_ps(low, second, high));
  }
}

template <typename Product>
void attend_bf16_page(const AttendArgs& args, const AttendScratch& s, int64_t first, int64_t count,
                      Softmax& softmax) {
  const uint16_t* const page = page_of(args, first);
  Product::scores(s.scores, page, args.kv_dim, static_cast<int>((count + 15) / 16), s.queries);
  // Lanes behind the last query see nothing and always count as masked; they get no NaN either.
  const bool masked = softmax.sees(first + count - 1) != 0xFFFF;
  const __m512 factor = softmax.update(s.scores, first, count);
  rescale(s.out, args.queries, args.latent, factor);
  pack_probabilities(s.scores, count, s.probabilities);
  for (int column = 0; column < args.latent; column += kColumnsAtOnce) {
    pack_values(page, args.kv_dim, count, column, masked, s.values);
    Product::values(s.out + column, args.latent, s.probabilities, s.values,
                    count > kTokensPerStep ? 2 : 1, args.queries);
  }
}

template <typename Product>
void attend_bf16(const AttendArgs& args) {
  if (args.latent % kColumnsAtOnce != 0 || args.kv_dim % 32 != 0) return attend_f32(args);
  const AttendScratch s = split_attend_scratch(args);
  [[maybe_unused]] const typename Product::Session session;
  pack_queries(args, s.queries);
  __builtin_memset(s.out, 0, sizeof(float) * 16 * static_cast<size_t>(args.latent));
  const auto lanes = static_cast<__mmask16>((1u << args.queries) - 1);
  Softmax softmax;
  softmax.positions = _mm512_mask_loadu_epi32(_mm512_set1_epi32(-1), lanes, args.positions);
  for (int64_t first = args.begin; first < args.end; first += kAttendPage) {
    const int64_t left = args.end - first;
    attend_bf16_page<Product>(args, s, first, left < kAttendPage ? left : kAttendPage, softmax);
  }
  _mm512_mask_storeu_ps(args.maximum, lanes, softmax.maximum);
  _mm512_mask_storeu_ps(args.sum, lanes, softmax.sum);
  for (int q = 0; q < args.queries; ++q) {
    unpack_out(s.out + q * args.latent, args.out + q * args.latent, args.latent);
  }
}

}  // namespace
}  // namespace hadal::ops
