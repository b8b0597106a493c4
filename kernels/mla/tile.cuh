// The attention of one tile of columns to one page after another: the part that the generic and the
// sm90 kernel share. The page lies in shared memory as it lies in the cache (kv_layout.h).
//
// The cache is the operand of 16 or 64 rows in every product and the columns (token, head) are the
// narrow one, so 16 heads fill the matrix instructions, and cache entries go from shared memory
// through a conversion in registers straight into them:
//
//   scores   S^T[64 tokens, columns] = K[64, 576] Q^T      warp (t, g): tokens 16t..16t+15 and the
//                                                          columns of group g
//   weights  P^T = exp2(S^T - running column maximum)      through shared memory, as halves or bf16
//   output   O^T[512 channels, columns] += V^T[512, 64] P^T    warp w: an equal share of the
//   channels
//
// The two products are a policy: products_mma.cuh on any architecture, products_wgmma.cuh on
// Hopper. In each, a column's arithmetic does not depend on the columns beside it or on their
// number.
#pragma once

#include <cstdint>

#include "kernels/common/mbarrier.cuh"
#include "kernels/mla/mla.h"
#include "kernels/mla/operands.cuh"

namespace hadal::kernels::mla {

inline constexpr float kLog2E = 1.4426950408889634f;

// The columns of one row that a tile covers.
struct TileColumns {
  int q_row = 0;           // column 0's row of [tokens * heads] in the queries and in out
  int count = 0;           // columns in use; the others compute on zeros
  int first_column = 0;    // column 0's place in the row
  int first_position = 0;  // of the row's first token
  int heads = 1;

  __device__ int position(int column) const {
    return first_position + (first_column + min(column, count - 1)) / heads;
  }
};

// `Products` has four static functions (products_mma.cuh says what they do): publish(), score(),
// store_weights() and accumulate().
//
// Where a product is followed by a sum, the roundings are written out (__fmaf_rn and the like): the
// compiler would else fuse some of them in one instance and not in another, and a token's bits
// would depend on how many columns its tile has.
template <KvFormat kFormat, int kColumns, typename Products>
class TileMath {
  using Shape = TileShape<kColumns>;
  using Op = Operand<kFormat>;

 public:
  // Threads 0 .. kThreads - 1 of the block take part in every call.
  __device__ TileMath(TileShared<kColumns>& shared, float softmax_scale)
      : shared_(shared), to_log2_(softmax_scale * kLog2E) {}

  // Fetches the queries of a tile and forgets the last one.
  __device__ void start(const TileColumns& columns, const __nv_bfloat16* q_latent,
                        const __nv_bfloat16* q_rope) {
    columns_ = columns;
    constexpr int kChunks = kColumns * kQueryChunks;
    constexpr int kRounds = ceil_div(kChunks, Shape::kThreads);
    constexpr int kBatch = kRounds < 9 ? kRounds : 9;  // fetched together, to wait once
    for (int round = 0; round < kRounds; round += kBatch) {
      uint4 bits[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int place = (round + i) * Shape::kThreads + static_cast<int>(threadIdx.x);
        bits[i] = fetch_query_chunk(place / kQueryChunks, place % kQueryChunks, q_latent, q_rope);
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int place = (round + i) * Shape::kThreads + static_cast<int>(threadIdx.x);
        if (place >= kChunks) continue;
        store_query_chunk<kFormat, kColumns>(shared_.queries[0], place / kQueryChunks,
                                             place % kQueryChunks, bits[i]);
      }
    }
    reset();
    Products::publish();
    meet();
  }

  // Adds the page's tokens [0, valid), of which token 0 is at absolute position `first`.
  __device__ void attend(std::uint8_t* page, int first, int valid) {
    float factors[2];
    token_factors(page, valid, factors);
    Scores<kColumns> scores;
    Products::score(shared_, shared_address(page), factors, scores);
    if (first + kPageTokens > columns_.position(0) + 1) mask(first, scores);
    share_maxima(scores);
    meet();
    weigh(scores, factors);
    if (valid < kPageTokens) clear_values(page, valid);
    Products::publish();
    meet();
    rescale_out();
    Products::accumulate(shared_, shared_address(page), out_);
  }

  // Ends the tile: writes out[columns, 512] ...
  __device__ void finish(__nv_bfloat16* out) {
    share_sums();
    out += static_cast<std::size_t>(columns_.q_row) * kLatent;
    store_out(out, [&](int column) {
      const float sum = column_sum(column);
      return sum == 0.0f ? 0.0f : __frcp_rn(sum);
    });
  }
  // ... or the sums as a partial of the tile.
  __device__ void finish(float* partial_out, float2* stats) {
    share_sums();
    write_stats(stats);
    store_out(partial_out, [](int) { return 1.0f; });
  }

 private:
  static constexpr int kBarrier = 1;
  // Column of element e of score block b in this thread; its tokens are 16 t + lane / 4 + 8 (e /
  // 2).
  __device__ static int score_column(int b, int e) {
    return group_column<kColumns>() + 8 * b + 2 * (lane_id() % 4) + e % 2;
  }
  __device__ static int first_token() {
    return 16 * token_group() + lane_id() / 4;
  }
  __device__ static void meet() {
    named_barrier(kBarrier, Shape::kThreads);
  }

  __device__ uint4 fetch_query_chunk(int column, int chunk, const __nv_bfloat16* q_latent,
                                     const __nv_bfloat16* q_rope) const {
    if (column >= columns_.count) return {};
    const std::size_t row = static_cast<std::size_t>(columns_.q_row) + column;
    const __nv_bfloat16* from = chunk < kLatentChunks
                                    ? q_latent + row * kLatent + 8 * chunk
                                    : q_rope + row * kRope + 8 * (chunk - kLatentChunks);
    return *reinterpret_cast<const uint4*>(from);
  }

  __device__ void reset() {
#pragma unroll
    for (int b = 0; b < Shape::kScoreBlocks; ++b) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        maximum_[b][i] = -INFINITY;
        sum_[b][i] = 0.0f;
      }
    }
#pragma unroll
    for (int t = 0; t < Shape::kOutTiles; ++t) {
#pragma unroll
      for (int b = 0; b < Shape::kOutBlocks; ++b) {
#pragma unroll
        for (int e = 0; e < 4; ++e) out_[t][b][e] = 0.0f;
      }
    }
  }

  // The scales of this thread's two tokens; zero for tokens that the page does not hold.
  __device__ static void token_factors(const std::uint8_t* page, int valid, float (&factors)[2]) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int token = first_token() + 8 * i;
      factors[i] = 1.0f;
      if (kFormat == KvFormat::kFp8) {
        factors[i] = *reinterpret_cast<const float*>(page + token * kv_token_bytes(kFormat) +
                                                     kFp8ScaleOffset);
      }
      if (token >= valid) factors[i] = 0.0f;
    }
  }

  // Entries past a column's position, whatever they hold, weigh nothing.
  __device__ void mask(int first, Scores<kColumns>& s) const {
#pragma unroll
    for (int b = 0; b < Shape::kScoreBlocks; ++b) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int token = first + first_token() + 8 * (e / 2);
        if (token > columns_.position(score_column(b, e))) s[b][e] = -INFINITY;
      }
    }
  }

  // This warp's maximum of each of its columns over its 16 tokens.
  __device__ void share_maxima(const Scores<kColumns>& s) const {
#pragma unroll
    for (int b = 0; b < Shape::kScoreBlocks; ++b) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float largest = fmaxf(s[b][i], s[b][i + 2]);
#pragma unroll
        for (int distance = 4; distance < 32; distance *= 2) {
          largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, distance));
        }
        if (lane_id() < 4) shared_.maxima[token_group()][score_column(b, i)] = largest;
      }
    }
  }

  // Raises the running maxima to include the page; `rescale` is what older sums are worth now.
  __device__ void raise_maxima(float (&offset)[Shape::kScoreBlocks][2]) {
#pragma unroll
    for (int b = 0; b < Shape::kScoreBlocks; ++b) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int column = score_column(b, i);
        float largest = maximum_[b][i];
#pragma unroll
        for (int t = 0; t < kTokenGroups; ++t) {
          largest = fmaxf(largest, shared_.maxima[t][column]);
        }
        // A column that has seen no entry yet has no maximum to be relative to.
        const bool none = largest == -INFINITY;
        offset[b][i] = none ? 0.0f : __fmul_rn(largest, to_log2_);
        // Exactly 1 where the maximum stays, so that a page that a column does not see changes
        // nothing.
        const float rescale =
            none ? 1.0f : exp2_approximate(__fmul_rn(maximum_[b][i] - largest, to_log2_));
        sum_[b][i] = __fmul_rn(sum_[b][i], rescale);
        maximum_[b][i] = largest;
        if (token_group() == 0 && lane_id() < 4) shared_.rescale[column] = rescale;
      }
    }
  }

  // Turns scores into weights and hands them, times the tokens' scales, to the warps that sum.
  __device__ void weigh(Scores<kColumns>& s, const float (&factors)[2]) {
    float offset[Shape::kScoreBlocks][2];
    raise_maxima(offset);
#pragma unroll
    for (int b = 0; b < Shape::kScoreBlocks; ++b) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float weight = exp2_approximate(__fmaf_rn(s[b][e], to_log2_, -offset[b][e % 2]));
        sum_[b][e % 2] = __fadd_rn(sum_[b][e % 2], weight);
        s[b][e] = kFormat == KvFormat::kFp8 ? __fmul_rn(weight, factors[e / 2] * Op::kWeightFactor)
                                            : weight;
      }
    }
    Products::store_weights(shared_, s);
  }

  // A weight of zero does not silence a NaN: rows that hold no token become zero.
  __device__ static void clear_values(std::uint8_t* page, int valid) {
    constexpr int kBytes = kv_token_bytes(kFormat);
    for (int byte = valid * kBytes + 16 * static_cast<int>(threadIdx.x);
         byte < kPageTokens * kBytes; byte += 16 * Shape::kThreads) {
      *reinterpret_cast<uint4*>(page + byte) = uint4{};
    }
  }

  __device__ void rescale_out() {
#pragma unroll
    for (int b = 0; b < Shape::kOutBlocks; ++b) {
      const float2 factor =
          *reinterpret_cast<const float2*>(&shared_.rescale[8 * b + 2 * (lane_id() % 4)]);
#pragma unroll
      for (int t = 0; t < Shape::kOutTiles; ++t) {
        out_[t][b][0] *= factor.x;
        out_[t][b][1] *= factor.y;
        out_[t][b][2] *= factor.x;
        out_[t][b][3] *= factor.y;
      }
    }
  }

  // Puts each token group's sums of weights where everyone can add them up.
  __device__ void share_sums() {
#pragma unroll
    for (int b = 0; b < Shape::kScoreBlocks; ++b) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float sum = sum_[b][i];
#pragma unroll
        for (int distance = 4; distance < 32; distance *= 2) {
          sum += __shfl_xor_sync(~0u, sum, distance);
        }
        if (lane_id() < 4) shared_.maxima[token_group()][score_column(b, i)] = sum;
      }
    }
    meet();
  }
  __device__ float column_sum(int column) const {
    float sum = 0.0f;
#pragma unroll
    for (int t = 0; t < kTokenGroups; ++t) sum += shared_.maxima[t][column];
    return sum;
  }
  __device__ void write_stats(float2* stats) const {
    if (token_group() != 0 || lane_id() >= 4) return;
#pragma unroll
    for (int b = 0; b < Shape::kScoreBlocks; ++b) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int column = score_column(b, i);
        stats[column] = {maximum_[b][i] * to_log2_, column_sum(column)};
      }
    }
  }

  // Distance of the two channels that rows g and g + 8 of an output tile hold.
  static constexpr int kPairDistance = kFormat == KvFormat::kFp8 ? 1 : 8;

  // to[column, 512] = this thread's outputs times factor(column).
  template <typename T, typename Factor>
  __device__ void store_out(T* to, Factor factor) const {
    to += 16 * warp_id() * Shape::kOutTiles + lane_id() / 4 * (kPairDistance == 1 ? 2 : 1);
#pragma unroll
    for (int b = 0; b < Shape::kOutBlocks; ++b) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int column = 8 * b + 2 * (lane_id() % 4) + i;
        if (column >= columns_.count) continue;
        const float of_column = factor(column);
#pragma unroll
        for (int t = 0; t < Shape::kOutTiles; ++t) {
          put(to + static_cast<std::size_t>(column) * kLatent + 16 * t,
              out_[t][b][i] * (1.0f / Op::kWeightFactor) * of_column,
              out_[t][b][i + 2] * (1.0f / Op::kWeightFactor) * of_column);
        }
      }
    }
  }
  __device__ static void put(__nv_bfloat16* to, float x, float y) {
    if constexpr (kPairDistance == 1) {
      *reinterpret_cast<__nv_bfloat162*>(to) = __floats2bfloat162_rn(x, y);
    } else {
      to[0] = __float2bfloat16(x);
      to[kPairDistance] = __float2bfloat16(y);
    }
  }
  __device__ static void put(float* to, float x, float y) {
    if constexpr (kPairDistance == 1) {
      *reinterpret_cast<float2*>(to) = {x, y};
    } else {
      to[0] = x;
      to[kPairDistance] = y;
    }
  }

  TileShared<kColumns>& shared_;
  TileColumns columns_;
  float to_log2_;
  float maximum_[Shape::kScoreBlocks][2];  // of the scores so far
  float sum_[Shape::kScoreBlocks][2];      // of this thread's tokens' weights
  Outputs<kColumns> out_;
};

// The columns of tile `tile` of a segment's row; count 0: the row has fewer tiles.
__device__ inline TileColumns tile_of_row(const Segment& segment, int heads, int tile,
                                          int tile_columns) {
  TileColumns c;
  c.first_column = tile * tile_columns;
  c.count = max(0, min(tile_columns, segment.token_count * heads - c.first_column));
  c.q_row = segment.token_begin * heads + c.first_column;
  c.first_position = segment.entries - segment.token_count;
  c.heads = heads;
  return c;
}

// How many of the row's entries a page holds.
__device__ inline int page_entries(const Segment& segment, int page) {
  return min(kPageTokens, segment.entries - page * kPageTokens);
}

// Ends a segment: its rows' output, or its partial sums.
template <int kColumns, typename Math>
__device__ void finish_segment(Math& math, const DecodeParams& p, const Segment& segment, int tile,
                               int tile_count) {
  if (segment.partial < 0) {
    math.finish(p.out);
    return;
  }
  const std::size_t place =
      (static_cast<std::size_t>(segment.partial) * tile_count + tile) * kColumns;
  math.finish(p.partials.out + place * kLatent, p.partials.stats + place);
}

}  // namespace hadal::kernels::mla
