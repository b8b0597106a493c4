// The two products of a page on mma.sync: any architecture from sm_80 on, and the slow twin of
// products_wgmma.cuh.
//
// The scores sum K in two chains, channels 0-255 with rope 0-31 and the rest, added at the end: the
// instructions of one chain wait for each other, those of two overlap. Operands are fetched one
// step ahead, so that a warp need not wait for shared memory.
#pragma once

#include "kernels/mla/tile.cuh"

namespace hadal::kernels::mla {

template <KvFormat kFormat, int kColumns>
class MmaProducts {
  using Shape = TileShape<kColumns>;
  using Op = Operand<kFormat>;
  using Element = typename Op::Element;
  using Shared = TileShared<kColumns>;

 public:
  // Makes this thread's writes to the operand tiles visible to the products of other threads, once
  // they have met.
  __device__ static void publish() {}

  // s = K Q^T for this warp's 16 tokens and its group of columns, in units of the true values.
  // factors: the scales of this thread's two tokens.
  __device__ static void score(const Shared& shared, std::uint32_t page, const float (&factors)[2],
                               Scores<kColumns>& s) {
    constexpr int kSteps = kLatent / 32;
    Scores<kColumns> chain[2] = {};
    StepOperands operands[2];
    RopeOperands rope[2];
    load_step(shared, page, 0, operands[0]);
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      const int next = i + 1;
      if (next < kSteps) {
        load_step(shared, page, next / 2 + next % 2 * (kSteps / 2), operands[next % 2]);
      } else {
        load_rope(shared, page, 0, rope[0]);
      }
      multiply(operands[i % 2], chain[i % 2]);
    }
    load_rope(shared, page, 1, rope[1]);
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      scale_scores<kFormat, kColumns>(factors, chain[c]);
      multiply(rope[c].keys, rope[c].queries, chain[c], __nv_bfloat16());
    }
#pragma unroll
    for (int b = 0; b < Shape::kScoreBlocks; ++b) {
#pragma unroll
      for (int e = 0; e < 4; ++e) s[b][e] = chain[0][b][e] + chain[1][b][e];
    }
  }

  // Rounds this thread's weights into the tile of weights.
  __device__ static void store_weights(Shared& shared, const Scores<kColumns>& weights) {
#pragma unroll
    for (int b = 0; b < Shape::kScoreBlocks; ++b) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int column = group_column<kColumns>() + 8 * b + 2 * (lane_id() % 4) + e % 2;
        const int token = lane_id() / 4;  // of the 8 of a chunk
        const int chunk = 2 * token_group() + e / 2;
        std::uint8_t* to = shared.weights + operand_offset<kColumns>(column, chunk);
        reinterpret_cast<Element*>(to)[token] = static_cast<Element>(weights[b][e]);
      }
    }
  }

  // out += V^T P^T for this warp's channels and all columns.
  __device__ static void accumulate(const Shared& shared, std::uint32_t page,
                                    Outputs<kColumns>& out) {
    constexpr int kUnits = kPageTokens / 32 * Shape::kOutTiles;
    const int first_tile = warp_id() * Shape::kOutTiles;
    ValueWords words[2];
    WeightOperands p;
    load_values<kFormat>(page, 0, first_tile, words[0]);
#pragma unroll
    for (int i = 0; i < kUnits; ++i) {
      const int tile = i % Shape::kOutTiles;
      if (tile == 0) load_weights(shared, i / Shape::kOutTiles, p);
      if (i + 1 < kUnits) {
        load_values<kFormat>(page, (i + 1) / Shape::kOutTiles,
                             first_tile + (i + 1) % Shape::kOutTiles, words[(i + 1) % 2]);
      }
      multiply_values(words[i % 2], p, out[tile]);
    }
  }

 private:
  // What one step of the scores, 32 channels of K, reads from shared memory.
  struct StepOperands {
    std::uint32_t keys[kWordGroups<kFormat>][4];
    std::uint32_t queries[Shape::kScoreBlocks][4];
  };
  struct RopeOperands {
    std::uint32_t keys[2][4];
    std::uint32_t queries[Shape::kScoreBlocks][4];
  };
  using ValueWords = std::uint32_t[kWordGroups<kFormat>][4];
  using WeightOperands = std::uint32_t[Shape::kOutBlocks][4];

  __device__ static void load_step(const Shared& shared, std::uint32_t page, int step,
                                   StepOperands& operands) {
    load_keys<kFormat>(page, step, operands.keys);
    load_queries(shared, 4 * step, operands.queries);
  }
  __device__ static void load_rope(const Shared& shared, std::uint32_t page, int step,
                                   RopeOperands& operands) {
    load_rope_keys<kFormat>(page, step, operands.keys);
    load_queries(shared, kLatentChunks + 4 * step, operands.queries);
  }
  // Four chunks, 32 of K, of each column.
  __device__ static void load_queries(const Shared& shared, int chunk,
                                      std::uint32_t (&q)[Shape::kScoreBlocks][4]) {
#pragma unroll
    for (int b = 0; b < Shape::kScoreBlocks; ++b) {
      const int column = group_column<kColumns>() + 8 * b + lane_id() % 8;
      load_matrices(q[b], shared_address(shared.queries) +
                              operand_offset<kColumns>(column, chunk + lane_id() / 8));
    }
  }

  __device__ static void multiply(const StepOperands& operands, Scores<kColumns>& s) {
    if constexpr (kFormat == KvFormat::kFp8) {
      std::uint32_t a[2][4];
      Op::key_step(a[0], operands.keys[0], 0);
      Op::key_step(a[1], operands.keys[0], 1);
      multiply(a, operands.queries, s, Element());
    } else {
      multiply(operands.keys, operands.queries, s, Element());
    }
  }
  template <typename T>
  __device__ static void multiply(const std::uint32_t (&a)[2][4],
                                  const std::uint32_t (&q)[Shape::kScoreBlocks][4],
                                  Scores<kColumns>& s, T element) {
#pragma unroll
    for (int step = 0; step < 2; ++step) {
#pragma unroll
      for (int b = 0; b < Shape::kScoreBlocks; ++b) {
        mma(s[b], a[step], q[b][2 * step], q[b][2 * step + 1], element);
      }
    }
  }

  // Tokens 32 group .. + 31 of every column: two steps of 16 of K.
  __device__ static void load_weights(const Shared& shared, int group, WeightOperands& p) {
#pragma unroll
    for (int b = 0; b < Shape::kOutBlocks; ++b) {
      load_matrices(p[b],
                    shared_address(shared.weights) +
                        operand_offset<kColumns>(8 * b + lane_id() % 8, 4 * group + lane_id() / 8));
    }
  }
  __device__ static void multiply_values(const ValueWords& words, const WeightOperands& p,
                                         float (&out)[Shape::kOutBlocks][4]) {
    if constexpr (kFormat == KvFormat::kFp8) {
      std::uint32_t a[2][4];
      Op::value_step(a[0], words[0], 0);
      Op::value_step(a[1], words[0], 1);
      multiply_weights(a, p, out);
    } else {
      multiply_weights(words, p, out);
    }
  }
  __device__ static void multiply_weights(const std::uint32_t (&a)[2][4], const WeightOperands& p,
                                          float (&out)[Shape::kOutBlocks][4]) {
#pragma unroll
    for (int step = 0; step < 2; ++step) {
#pragma unroll
      for (int b = 0; b < Shape::kOutBlocks; ++b) {
        mma(out[b], a[step], p[b][2 * step], p[b][2 * step + 1], Element());
      }
    }
  }
};

}  // namespace hadal::kernels::mla
