// Attention of one row tile (16, 32 or 64 query rows) over the pages of a block's segments.
//
// 256 threads. For every page of 64 tokens:
//   scores   warp (g, h) of 4 x 2: tokens 16 g .. +15, half h of the 576 products, for all rows
//   softmax  thread: 4 tokens of row(s) t / 16; running maximum and sum in registers
//   values   warp w: output columns 64 w .. +63 over the 64 tokens, for all rows
//
// shared memory at 16 rows, FP8: Q 18.7 KB, 2 pages of 42.0 KB, scores 2 x 16 x 68 x 4 = 8.7 KB,
//   P 2.3 KB: 114 KB. Two blocks a multiprocessor: while the warps of one wait for each other, the
//   other's multiply. At 64 rows one block: Q 74.8, 2 pages 84, scores 34.8, P 9.2: 203 KB.
// bound: 656 B a token against 17 clocks (16 rows) or 68 (64 rows) of mma.sync. Memory at 16 rows,
//   the tensor cores at 64.
#pragma once

#include <cstdint>

#include "kernels/common/async_copy.cuh"
#include "kernels/common/mbarrier.cuh"
#include "kernels/common/pdl.cuh"
#include "kernels/mla/fragments.cuh"
#include "kernels/mla/page_range.cuh"

namespace hadal::kernels::mla {

inline constexpr int kThreads = 256;
inline constexpr float kMinusInfinity = -INFINITY;
// Keeps p * token scale among the normal halves; undone at the output. Token scales of 1e-4 to 60,
// which is values up to 28,000 after the latent's norm, keep full precision.
inline constexpr float kProbabilityScale = 1024.0f;

enum class PageFetch { kBulk, kPlain };

template <KvFormat kFormat, int kRowTiles>
struct Shape {
  static constexpr int kRows = 16 * kRowTiles;
  static constexpr int kTokenBytes = kv_token_bytes(kFormat);
  static constexpr int kPageBytes = kv_page_bytes(kFormat);
  static constexpr int kQueryBytes = 2 * kLatentRope + 16;  // odd in 16-byte chunks: no conflicts
  static constexpr int kScoreStride = kPageTokens + 4;
  static constexpr int kProbabilityBytes = 2 * kPageTokens + 16;

  static constexpr int kFixedBytes = kRows * kQueryBytes + 2 * kRows * kScoreStride * 4 +
                                     kRows * kProbabilityBytes + kRows * 4 + 64 + 128;
  static constexpr int kBlocksPerSm = blocks_per_sm(kRows, kFormat);
  static constexpr int kRoom = (kBlocksPerSm == 2 ? 113 : 227) * 1024 - kFixedBytes;
  static constexpr int kStages = smaller(kRoom / kPageBytes, 4);
  static constexpr int kSharedBytes = kFixedBytes + kStages * kPageBytes;
  static_assert(kStages >= 2, "while one page is computed, the next must have a place");
};

template <typename S>
struct Shared {
  __device__ explicit Shared(std::uint8_t* base) {
    base += (128 - address_of(base) % 128) % 128;
    pages = base;
    query = pages + S::kStages * S::kPageBytes;
    scores = reinterpret_cast<float*>(query + S::kRows * S::kQueryBytes);
    probabilities = reinterpret_cast<std::uint8_t*>(scores + 2 * S::kRows * S::kScoreStride);
    factor = reinterpret_cast<float*>(probabilities + S::kRows * S::kProbabilityBytes);
    full = reinterpret_cast<std::uint64_t*>(factor + S::kRows);
  }
  __device__ std::uint8_t* page(int stage) const { return pages + stage * S::kPageBytes; }
  __device__ std::uint8_t* query_row(int row) const { return query + row * S::kQueryBytes; }

  std::uint8_t* pages;
  std::uint8_t* query;
  float* scores;                // [2 halves of k, rows, kScoreStride]
  std::uint8_t* probabilities;  // [rows, kProbabilityBytes]
  float* factor;        // [rows]: what the sums so far are multiplied by; at the end 1 / sum
  std::uint64_t* full;  // [stages]
};

// Byte of 16-byte chunk `chunk` of token `token` in a page.
template <KvFormat kFormat>
__device__ __forceinline__ int chunk_offset(int token, int chunk) {
  const int place = kFormat == KvFormat::kBf16 ? chunk ^ (token % 8) : chunk;
  return token * kv_token_bytes(kFormat) + place * 16;
}

// Stores eight elements of a query row: the latent part in the operand type and order, the rope
// part in bf16.
template <KvFormat kFormat>
__device__ void store_query_chunk(std::uint8_t* row, int element, uint4 chunk) {
  if (kFormat == KvFormat::kBf16 || element >= kLatent) {
    *reinterpret_cast<uint4*>(row + 2 * element) = chunk;
    return;
  }
  const auto* pairs = reinterpret_cast<const __nv_bfloat162*>(&chunk);
#pragma unroll
  for (int i = 0; i < 4; ++i) {  // pairs stay together in the stored order
    *reinterpret_cast<__half2*>(row + 2 * query_position<kFormat>(element + 2 * i)) =
        __float22half2_rn(__bfloat1622float2(pairs[i]));
  }
}

// Queries of a unit into shared memory. Several loads in flight a thread: this stands between a
// segment's start and its first page.
template <KvFormat kFormat, typename S>
__device__ void load_query(const Params& p, const Segment& segment, const Shared<S>& shared) {
  constexpr int kChunks = kLatentRope / 8;
  constexpr int kBatch = 5;
  const int first = segment.row_tile * S::kRows;
  const std::size_t base = static_cast<std::size_t>(segment.sequence) * p.rows() + first;
  for (int begin = threadIdx.x; begin < S::kRows * kChunks; begin += kBatch * kThreads) {
    uint4 chunks[kBatch] = {};
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int row = (begin + b * kThreads) / kChunks;
      const int element = (begin + b * kThreads) % kChunks * 8;
      if (row < S::kRows && first + row < p.rows()) {
        const __nv_bfloat16* source = element < kLatent
                                          ? p.q_latent + (base + row) * kLatent + element
                                          : p.q_rope + (base + row) * kRope + element - kLatent;
        chunks[b] = *reinterpret_cast<const uint4*>(source);
      }
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int row = (begin + b * kThreads) / kChunks;
      const int element = (begin + b * kThreads) % kChunks * 8;
      if (row < S::kRows) store_query_chunk<kFormat>(shared.query_row(row), element, chunks[b]);
    }
  }
}

// Rows past the context hold whatever was there: zero them, or 0 * NaN would spoil the sums.
template <PageFetch kFetch, typename S>
__device__ void clear_tokens(const Shared<S>& shared, int stage, int first_token) {
  std::uint8_t* page = shared.page(stage);
  for (int i = first_token * S::kTokenBytes / 16 + threadIdx.x; i < S::kPageBytes / 16;
       i += kThreads) {
    reinterpret_cast<uint4*>(page)[i] = uint4{};
  }
  // The copy engine writes here next.
  if constexpr (kFetch == PageFetch::kBulk) fence_async_proxy();
  __syncthreads();
}

// Where a warp's lane reads its operands of the scores.
template <KvFormat kFormat, typename S>
struct ScoreLanes {
  __device__ ScoreLanes(const Shared<S>& shared, int stage)
      : page(shared.page(stage)),
        token_begin(static_cast<int>(threadIdx.x) / 32 % 4 * 16),
        half(static_cast<int>(threadIdx.x) / 128) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    token = token_begin + lane / 16 * 8 + lane % 8;
    chunk = lane / 8 % 2;
    query = shared.query_row(lane % 16) + lane / 16 * 16;
  }
  // Row tile m of the queries, 16 elements from `k` on.
  __device__ __forceinline__ void load_query_operand(std::uint32_t (&a)[4], int m, int k) const {
    load_matrices(a, query + m * 16 * S::kQueryBytes + 2 * k);
  }
  // Two chunks from `first_chunk` on, of tokens 0-7 (matrices 0, 1) and 8-15 (matrices 2, 3).
  __device__ __forceinline__ void load_token_operand(std::uint32_t (&b)[4], int first_chunk) const {
    load_matrices(b, page + chunk_offset<kFormat>(token, first_chunk + chunk));
  }

  const std::uint8_t* page;
  int token_begin;
  int half;  // of the products
  int token;
  int chunk;
  const std::uint8_t* query;
};

template <int kRowTiles>
using Scores = float[kRowTiles][2][4];

// One step of 16 elements: two groups of 8 tokens times all rows.
template <bool kHalves, int kRowTiles, typename Lanes>
__device__ __forceinline__ void score_step(const Lanes& lanes, int k,
                                           const std::uint32_t (&b)[2][2], Scores<kRowTiles>& acc) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
    std::uint32_t a[4];
    lanes.load_query_operand(a, m, k);
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      if constexpr (kHalves) {
        mma_f16(acc[m][n], a, b[n][0], b[n][1]);
      } else {
        mma_bf16(acc[m][n], a, b[n][0], b[n][1]);
      }
    }
  }
}

// The latent part of an FP8 page: widened in registers, then multiplied by the tokens' scales. Two
// sets of sums where registers allow it: twice as many independent chains.
template <int kRowTiles, typename S>
__device__ void score_latent_fp8(const ScoreLanes<KvFormat::kFp8, S>& lanes,
                                 Scores<kRowTiles>& acc) {
  constexpr int kSteps = kLatent / 16 / 2;
  constexpr int kSets = kRowTiles == 1 ? 2 : 1;
  Scores<kRowTiles> sums[kSets] = {};
#pragma unroll 4
  for (int step = 0; step < kSteps; step += 2) {
    const int k = (lanes.half * kSteps + step) * 16;
    std::uint32_t raw[4];
    lanes.load_token_operand(raw, k / 16);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      std::uint32_t b[2][2];
      widen(raw[j], b[0][0], b[0][1]);
      widen(raw[2 + j], b[1][0], b[1][1]);
      score_step<true, kRowTiles>(lanes, k + 16 * j, b, sums[j % kSets]);
    }
  }
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int column = lanes.token_begin + n * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + e % 2;
      const float scale =
          *reinterpret_cast<const float*>(lanes.page + column * S::kTokenBytes + kFp8ScaleOffset);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        float sum = sums[0][m][n][e];
        if constexpr (kSets == 2) sum += sums[1][m][n][e];
        acc[m][n][e] = sum * scale;
      }
    }
  }
}

// `steps` steps of bf16 elements: query elements from `k` on, page chunks from `chunk` on.
template <KvFormat kFormat, int kRowTiles, typename S>
__device__ void score_bf16(const ScoreLanes<kFormat, S>& lanes, int k, int chunk, int steps,
                           Scores<kRowTiles>& acc) {
#pragma unroll 4
  for (int step = 0; step < steps; ++step) {
    std::uint32_t raw[4];
    lanes.load_token_operand(raw, chunk + 2 * step);
    const std::uint32_t b[2][2] = {{raw[0], raw[1]}, {raw[2], raw[3]}};
    score_step<false, kRowTiles>(lanes, k + 16 * step, b, acc);
  }
}

// Scores of 16 tokens against all rows, over this warp's half of the products, to shared memory.
template <KvFormat kFormat, int kRowTiles, typename S>
__device__ void score(const Shared<S>& shared, int stage) {
  const ScoreLanes<kFormat, S> lanes(shared, stage);
  Scores<kRowTiles> acc = {};
  constexpr int kHalfRope = kRope / 2;
  const int rope_chunk = lanes.half * kHalfRope / 8;
  if constexpr (kFormat == KvFormat::kFp8) {
    score_latent_fp8<kRowTiles>(lanes, acc);
    score_bf16<kFormat, kRowTiles>(lanes, kLatent + lanes.half * kHalfRope,
                                   kFp8RopeOffset / 16 + rope_chunk, kHalfRope / 16, acc);
  } else {
    constexpr int kHalfLatent = kLatent / 2;
    score_bf16<kFormat, kRowTiles>(lanes, lanes.half * kHalfLatent, lanes.half * kHalfLatent / 8,
                                   kHalfLatent / 16, acc);
    score_bf16<kFormat, kRowTiles>(lanes, kLatent + lanes.half * kHalfRope,
                                   kLatent / 8 + rope_chunk, kHalfRope / 16, acc);
  }
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int upper = 0; upper < 2; ++upper) {
        const int row = lanes.half * S::kRows + m * 16 + lane / 4 + 8 * upper;
        float* target =
            shared.scores + row * S::kScoreStride + lanes.token_begin + n * 8 + lane % 4 * 2;
        *reinterpret_cast<float2*>(target) = {acc[m][n][2 * upper], acc[m][n][2 * upper + 1]};
      }
    }
  }
}

// Running softmax of the rows t / 16 + 16 m that thread t works on.
template <KvFormat kFormat, int kRowTiles, typename S>
struct Softmax {
  float largest[kRowTiles];
  float sum[kRowTiles];

  __device__ void reset() {
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      largest[m] = kMinusInfinity;
      sum[m] = 0.0f;
    }
  }

  // Turns one page's scores into probabilities. `visible(row)`: tokens of the page that row may
  // see.
  template <typename Visible>
  __device__ void step(const Shared<S>& shared, int stage, float scale, Visible visible) {
    const int token = threadIdx.x % 16 * 4;
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      const int row = static_cast<int>(threadIdx.x) / 16 + 16 * m;
      const float* scores = shared.scores + row * S::kScoreStride + token;
      const float4 a = *reinterpret_cast<const float4*>(scores);
      const float4 b = *reinterpret_cast<const float4*>(scores + S::kRows * S::kScoreStride);
      float x[4] = {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
      const int limit = visible(row);
      float page_largest = kMinusInfinity;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        x[i] = token + i < limit ? x[i] * scale : kMinusInfinity;
        page_largest = fmaxf(page_largest, x[i]);
      }
#pragma unroll
      for (int step = 1; step < 16; step *= 2) {
        page_largest = fmaxf(page_largest, __shfl_xor_sync(~0u, page_largest, step));
      }
      const float before = largest[m];
      largest[m] = fmaxf(before, page_largest);
      // A row that has seen no token yet has no maximum to subtract.
      const float base = largest[m] == kMinusInfinity ? 0.0f : largest[m];
      const float factor = exp2f(before - base);
      float total = 0.0f;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        x[i] = exp2f(x[i] - base);
        total += x[i];
      }
#pragma unroll
      for (int step = 1; step < 16; step *= 2) total += __shfl_xor_sync(~0u, total, step);
      sum[m] = sum[m] * factor + total;
      if (threadIdx.x % 16 == 0) shared.factor[row] = factor;
      store(shared, stage, row, token, x);
    }
  }

 private:
  static __device__ void store(const Shared<S>& shared, int stage, int row, int token,
                               const float (&x)[4]) {
    std::uint8_t* target = shared.probabilities + row * S::kProbabilityBytes + 2 * token;
    if constexpr (kFormat == KvFormat::kBf16) {
      auto* pairs = reinterpret_cast<__nv_bfloat162*>(target);
      pairs[0] = __floats2bfloat162_rn(x[0], x[1]);
      pairs[1] = __floats2bfloat162_rn(x[2], x[3]);
    } else {
      float scaled[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scaled[i] = x[i] * kProbabilityScale *
                    *reinterpret_cast<const float*>(shared.page(stage) +
                                                    (token + i) * S::kTokenBytes + kFp8ScaleOffset);
      }
      auto* pairs = reinterpret_cast<__half2*>(target);
      pairs[0] = __floats2half2_rn(scaled[0], scaled[1]);
      pairs[1] = __floats2half2_rn(scaled[2], scaled[3]);
    }
  }
};

// The output sums of a warp: 64 columns of all rows. Tile j, of 8, holds columns
//   FP8:  16 (j / 2) + 4 t + j % 2 and + 2 (even and odd columns are separate tiles)
//   bf16: 8 j + 2 t and + 1                                       for thread t of a quad.
template <int kRowTiles>
using Output = float[kRowTiles][8][4];

template <KvFormat kFormat, int kRowTiles, typename S>
__device__ void accumulate(const Shared<S>& shared, int stage, Output<kRowTiles>& out) {
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
    const float lower = shared.factor[m * 16 + lane / 4];
    const float upper = shared.factor[m * 16 + lane / 4 + 8];
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      out[m][j][0] *= lower;
      out[m][j][1] *= lower;
      out[m][j][2] *= upper;
      out[m][j][3] *= upper;
    }
  }
  const std::uint8_t* probabilities =
      shared.probabilities + lane % 16 * S::kProbabilityBytes + lane / 16 * 16;
  // Lane l addresses token l % 8 of matrix l / 8: tokens +0, +8, +0, +8; chunks +0, +0, +1, +1.
  const int token = lane / 8 % 2 * 8 + lane % 8;
  const int chunk = lane / 16;
  constexpr int kChunksOfWarp = kFormat == KvFormat::kFp8 ? 4 : 8;
#pragma unroll
  for (int k = 0; k < kPageTokens; k += 16) {
    std::uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      load_matrices(a[m], probabilities + m * 16 * S::kProbabilityBytes + 2 * k);
    }
#pragma unroll
    for (int c = 0; c < kChunksOfWarp; c += 2) {
      std::uint32_t raw[4];  // chunk c: tokens 0-7, 8-15; chunk c + 1: the same
      load_matrices_transposed(
          raw,
          shared.page(stage) + chunk_offset<kFormat>(k + token, warp * kChunksOfWarp + c + chunk));
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        if constexpr (kFormat == KvFormat::kFp8) {
          std::uint32_t even[2], odd[2];
          widen_transposed(raw[2 * i], even[0], odd[0]);
          widen_transposed(raw[2 * i + 1], even[1], odd[1]);
#pragma unroll
          for (int m = 0; m < kRowTiles; ++m) {
            mma_f16(out[m][2 * (c + i)], a[m], even[0], even[1]);
            mma_f16(out[m][2 * (c + i) + 1], a[m], odd[0], odd[1]);
          }
        } else {
#pragma unroll
          for (int m = 0; m < kRowTiles; ++m) {
            mma_bf16(out[m][c + i], a[m], raw[2 * i], raw[2 * i + 1]);
          }
        }
      }
    }
  }
}

// Writes `kCount` neighbouring values of a row: to the result in bf16, or to a partial result.
template <int kCount>
__device__ __forceinline__ void store_values(const Params& p, std::size_t row, int column,
                                             bool whole, const float (&values)[kCount]) {
  if (whole) {
    auto* target = reinterpret_cast<__nv_bfloat162*>(p.out + row * kLatent + column);
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i) {
      target[i] = __floats2bfloat162_rn(values[2 * i], values[2 * i + 1]);
    }
  } else {
    auto* target = reinterpret_cast<float2*>(p.partial_out + row * kLatent + column);
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i) target[i] = {values[2 * i], values[2 * i + 1]};
  }
}

// Writes the unit's result, or the segment's part of it.
template <KvFormat kFormat, int kRowTiles, typename S>
__device__ void store_output(const Params& p, const Segment& segment, const Shared<S>& shared,
                             const Softmax<kFormat, kRowTiles, S>& softmax,
                             const Output<kRowTiles>& out) {
  constexpr float kUndo = kFormat == KvFormat::kFp8 ? 1.0f / kProbabilityScale : 1.0f;
  const int lane = threadIdx.x % 32;
  const int column_begin = threadIdx.x / 32 * 64;
  const bool whole = segment.slot < 0;
  __syncthreads();
  if (threadIdx.x % 16 == 0) {
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      const int row = static_cast<int>(threadIdx.x) / 16 + 16 * m;
      shared.factor[row] = whole ? kUndo / softmax.sum[m] : kUndo;
      if (!whole) {
        p.partial_stats[static_cast<std::size_t>(segment.slot) * S::kRows + row] = {
            softmax.largest[m], softmax.sum[m]};
      }
    }
  }
  __syncthreads();
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int upper = 0; upper < 2; ++upper) {
      const int row = m * 16 + lane / 4 + 8 * upper;
      const int row_of_sequence = segment.row_tile * S::kRows + row;
      if (row_of_sequence >= p.rows()) continue;
      const float factor = shared.factor[row];
      const std::size_t target =
          whole ? static_cast<std::size_t>(segment.sequence) * p.rows() + row_of_sequence
                : static_cast<std::size_t>(segment.slot) * S::kRows + row;
#pragma unroll
      for (int j = 0; j < 8; j += 2) {
        const float* a = &out[m][j][2 * upper];
        const float* b = &out[m][j + 1][2 * upper];
        if constexpr (kFormat == KvFormat::kFp8) {
          // Tile j has the even columns, tile j + 1 the odd ones.
          const float four[4] = {a[0] * factor, b[0] * factor, a[1] * factor, b[1] * factor};
          store_values(p, target, column_begin + j * 8 + 4 * (lane % 4), whole, four);
        } else {
          const float first[2] = {a[0] * factor, a[1] * factor};
          const float second[2] = {b[0] * factor, b[1] * factor};
          store_values(p, target, column_begin + j * 8 + 2 * (lane % 4), whole, first);
          store_values(p, target, column_begin + j * 8 + 8 + 2 * (lane % 4), whole, second);
        }
      }
    }
  }
}

}  // namespace hadal::kernels::mla
