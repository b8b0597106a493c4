// The two products of a page on Hopper's warpgroup instructions: cache entries are the operand of
// 64 rows, in registers, converted there from e4m3; queries and weights are the other operand, read
// by the tensor cores from shared memory. sm_90a. The contract is that of products_mma.cuh.
//
// While the tensor cores work on one block of 64 of K, the warps convert the next.
#pragma once

#include "kernels/common/wgmma_fp8.cuh"
#include "kernels/mla/tile.cuh"
#include "kernels/mla/wgmma_registers.cuh"

namespace hadal::kernels::mla {

// Stores two 8 x 8 matrices of 16-bit elements transposed; lanes 0-15 name the rows.
__device__ __forceinline__ void store_matrices_transposed(std::uint32_t address, std::uint32_t r0,
                                                          std::uint32_t r1) {
  asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(address),
               "r"(r0), "r"(r1)
               : "memory");
}

template <KvFormat kFormat, int kColumns>
class WgmmaProducts {
  using Shape = TileShape<kColumns>;
  using Op = Operand<kFormat>;
  using Element = typename Op::Element;
  using Shared = TileShared<kColumns>;

 public:
  __device__ static void publish() { fence_async_proxy(); }

  __device__ static void score(const Shared& shared, std::uint32_t page, const float (&factors)[2],
                               Scores<kColumns>& s) {
    constexpr int kBlocks = kLatent / 64;
    // Every block of 64 of K is `kColumns` rows further on.
    constexpr std::uint64_t kBlockStep = kColumns * kTileRowBytes / 16;
    // The shuffle tells the compiler that the descriptor is the same for the whole warp.
    const int column = __shfl_sync(~0u, group_column<kColumns>(), 0);
    const std::uint64_t queries = wgmma_descriptor(shared.queries[0] + column * kTileRowBytes);
    BlockWords words;
    BlockOperand a[2];
    load_block(page, 0, words);
    convert_block(words, a[0]);
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      if (block + 1 < kBlocks) load_block(page, block + 1, words);
      multiply_block<Element>(a[block % 2], queries + block * kBlockStep, s, block > 0);
      if (block + 1 < kBlocks) {
        wgmma_wait<1>();  // the other operand is free
        convert_block(words, a[(block + 1) % 2]);
      }
    }
    BlockOperand rope;
#pragma unroll
    for (int half = 0; half < 2; ++half) load_rope_keys<kFormat>(page, half, rope + 2 * half);
    wgmma_wait<0>();
    pin_scores(s);
    scale_scores<kFormat, kColumns>(factors, s);
    multiply_block<__nv_bfloat16>(rope, queries + kBlocks * kBlockStep, s, true);
    wgmma_wait<0>();
    pin_scores(s);
  }

  __device__ static void store_weights(Shared& shared, const Scores<kColumns>& weights) {
    const std::uint32_t tile = shared_address(shared.weights);
#pragma unroll
    for (int b = 0; b < Shape::kScoreBlocks; ++b) {
      const int column = group_column<kColumns>() + 8 * b + lane_id() % 8;
      const int chunk = 2 * token_group() + lane_id() / 8 % 2;
      store_matrices_transposed(tile + operand_offset<kColumns>(column, chunk),
                                Op::pack(weights[b][0], weights[b][1]),
                                Op::pack(weights[b][2], weights[b][3]));
    }
  }

  __device__ static void accumulate(const Shared& shared, std::uint32_t page,
                                    Outputs<kColumns>& out) {
    const std::uint64_t weights = wgmma_descriptor(shared.weights);
    const int first_tile = warp_id() * Shape::kOutTiles;
    BlockWords words;
    BlockOperand a[2];
    load_tile(page, first_tile, words);
    convert_values(words, a[0]);
#pragma unroll
    for (int tile = 0; tile < Shape::kOutTiles; ++tile) {
      if (tile + 1 < Shape::kOutTiles) load_tile(page, first_tile + tile + 1, words);
      multiply_tile(a[tile % 2], weights, out[tile]);
      if (tile + 1 < Shape::kOutTiles) {
        wgmma_wait<1>();
        convert_values(words, a[(tile + 1) % 2]);
      }
    }
    wgmma_wait<0>();
#pragma unroll
    for (int tile = 0; tile < Shape::kOutTiles; ++tile) pin_blocks(out[tile]);
  }

 private:
  // 64 of K as it lies in shared memory, and as four operands of 16.
  using BlockWords = std::uint32_t[2 * kWordGroups<kFormat>][4];
  using BlockOperand = std::uint32_t[4][4];

  template <int kCount>
  __device__ static void pin_blocks(float (&d)[kCount][4]) {
#pragma unroll
    for (int b = 0; b < kCount; ++b) pin_registers(d[b]);
  }
  __device__ static void pin_scores(Scores<kColumns>& s) {
    pin_blocks(s);
  }

  __device__ static void load_block(std::uint32_t page, int block, BlockWords& words) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      load_keys<kFormat>(page, 2 * block + half, words + kWordGroups<kFormat> * half);
    }
  }
  __device__ static void convert_block(const BlockWords& words, BlockOperand& a) {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if constexpr (kFormat == KvFormat::kFp8) {
        Op::key_step(a[step], words[step / 2], step % 2);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) a[step][i] = words[step][i];
      }
    }
  }
  template <typename T>
  __device__ static void multiply_block(const BlockOperand& a, std::uint64_t queries,
                                        Scores<kColumns>& s, bool accumulate) {
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      WgmmaFromRegisters<Shape::kGroupColumns, T>::multiply(
          s, a[step], queries + step * kWgmmaDescriptorStepK16, accumulate || step > 0);
    }
    wgmma_commit();
  }

  // All 64 tokens of 16 channels.
  __device__ static void load_tile(std::uint32_t page, int tile, BlockWords& words) {
#pragma unroll
    for (int group = 0; group < 2; ++group) {
      load_values<kFormat>(page, group, tile, words + kWordGroups<kFormat> * group);
    }
  }
  __device__ static void convert_values(const BlockWords& words, BlockOperand& a) {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if constexpr (kFormat == KvFormat::kFp8) {
        Op::value_step(a[step], words[step / 2], step % 2);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) a[step][i] = words[step][i];
      }
    }
  }
  __device__ static void multiply_tile(const BlockOperand& a, std::uint64_t weights,
                                       float (&out)[Shape::kOutBlocks][4]) {
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      WgmmaFromRegisters<kColumns, Element>::multiply(out, a[step],
                                                      weights + step * kWgmmaDescriptorStepK16, 1);
    }
    wgmma_commit();
  }
};

}  // namespace hadal::kernels::mla
