// The routed experts and the shared one. Tokens are sorted by expert; a first parallel loop over
// (expert rows, columns) computes silu(gate) * up, a second one over columns of the output adds
// weight * down for all experts in ascending order, the shared one last. Each output value is
// written by one task, in that order, whatever the number of threads.
#include <algorithm>
#include <cstring>

#include "ops/cpu/cpu_ops.h"

namespace hadal::ops {
namespace {

constexpr int64_t kTokensAtOnce = 512;  // bounds the hidden activations kept between the two loops

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

void CpuOps::sort_by_expert(const TensorView& ids, const TensorView& weights, int64_t first_token,
                            int64_t tokens, int expert_count) {
  const int64_t k = ids.cols;
  const auto shared = static_cast<size_t>(expert_count - 1);
  expert_starts_.assign(static_cast<size_t>(expert_count) + 1, 0);
  for (int64_t i = 0; i < tokens * k; ++i) {
    const int32_t id = ids.as<int32_t>()[first_token * k + i];
    HADAL_CHECK(id >= 0 && id < expert_count - 1, "expert {} of {}", id, expert_count - 1);
    ++expert_starts_[static_cast<size_t>(id) + 1];
  }
  expert_starts_[shared + 1] = tokens;
  for (size_t e = 0; e <= shared; ++e) expert_starts_[e + 1] += expert_starts_[e];

  expert_tokens_.resize(static_cast<size_t>(tokens * (k + 1)));
  expert_weights_.resize(expert_tokens_.size());
  expert_blocks_.clear();
  for (size_t e = 0; e <= shared; ++e) {
    for (int64_t at = expert_starts_[e]; at < expert_starts_[e + 1]; at += kGemmRows) {
      const auto rows = std::min<int64_t>(kGemmRows, expert_starts_[e + 1] - at);
      expert_blocks_.push_back({static_cast<int>(e), at, static_cast<int>(rows)});
    }
  }
  const auto place = [&](size_t expert, int64_t token, float weight) {
    const auto at = static_cast<size_t>(expert_starts_[expert]++);
    expert_tokens_[at] = static_cast<int32_t>(token);
    expert_weights_[at] = weight;
  };
  for (int64_t t = first_token; t < first_token + tokens; ++t) {
    for (int64_t j = 0; j < k; ++j) {
      place(static_cast<size_t>(ids.as<int32_t>()[t * k + j]), t, weights.as<float>()[t * k + j]);
    }
    place(shared, t, 1.0F);
  }
}

void CpuOps::expert_hidden(const float* x, int64_t x_stride, const CpuExperts& weights) {
  constexpr int64_t kChunkTiles = 8;
  const int64_t width = weights.width_max;
  const int64_t chunks = ceil_div(ceil_div(width, kTileOutputs), kChunkTiles);
  float* const hidden = hidden_.as<float>();
  pool_.run(static_cast<int>(static_cast<int64_t>(expert_blocks_.size()) * chunks),
            [&](int task, int thread) {
              const ExpertBlock& block = expert_blocks_[static_cast<size_t>(task / chunks)];
              const CpuExpert& expert = weights.experts[static_cast<size_t>(block.expert)];
              const MatrixView& gate = expert.gate.view();
              const int64_t tile = task % chunks * kChunkTiles;
              if (tile >= gate.tile_rows) return;  // this expert is narrower than the widest
              const int64_t first = tile * kTileOutputs;
              const int64_t count = std::min(kChunkTiles * kTileOutputs, gate.outputs - first);
              constexpr int64_t kStride = kChunkTiles * kTileOutputs;
              float* const gate_values =
                  per_thread_[static_cast<size_t>(thread)].values.reserve_as<float>(2 * kGemmRows *
                                                                                    kStride);
              float* const up_values = gate_values + kGemmRows * kStride;
              GemmArgs args{.weight = &gate,
                            .x = x,
                            .x_stride = x_stride,
                            .row_index = expert_tokens_.data() + block.first,
                            .rows = block.rows,
                            .out = gate_values,
                            .out_stride = kStride,
                            .tile_begin = tile,
                            .tile_end = std::min(tile + kChunkTiles, gate.tile_rows),
                            .scratch = gemm_scratch(thread, gate.inputs)};
              kernels_.gemm(args);
              args.weight = &expert.up.view();
              args.out = up_values;
              kernels_.gemm(args);
              for (int r = 0; r < block.rows; ++r) {
                kernels_.silu_mul(hidden + (block.first + r) * width + first,
                                  gate_values + r * kStride, up_values + r * kStride, count);
              }
            });
}

void CpuOps::expert_output(float* out, int64_t width, const CpuExperts& weights) {
  constexpr int64_t kChunkTiles = 4;
  constexpr int64_t kStride = kChunkTiles * kTileOutputs;
  const float* const hidden = hidden_.as<float>();
  const int64_t tiles = ceil_div(width, kTileOutputs);
  pool_.run(static_cast<int>(ceil_div(tiles, kChunkTiles)), [&](int task, int thread) {
    const int64_t tile = task * kChunkTiles;
    const int64_t first = tile * kTileOutputs;
    const int64_t count = std::min(kStride, width - first);
    float* const values =
        per_thread_[static_cast<size_t>(thread)].values.reserve_as<float>(kGemmRows * kStride);
    for (const ExpertBlock& block : expert_blocks_) {
      const MatrixView& down = weights.experts[static_cast<size_t>(block.expert)].down.view();
      kernels_.gemm({.weight = &down,
                     .x = hidden + block.first * weights.width_max,
                     .x_stride = weights.width_max,
                     .rows = block.rows,
                     .out = values,
                     .out_stride = kStride,
                     .tile_begin = tile,
                     .tile_end = std::min(tile + kChunkTiles, tiles),
                     .scratch = gemm_scratch(thread, down.inputs)});
      for (int r = 0; r < block.rows; ++r) {
        const auto at = static_cast<size_t>(block.first + r);
        kernels_.add_scaled(out + expert_tokens_[at] * width + first, values + r * kStride,
                            expert_weights_[at], count);
      }
    }
  });
}

void CpuOps::experts(ExecContext&, TensorView out, TensorView x, TensorView ids, TensorView weights,
                     const ExpertsWeight& experts) {
  const auto& w = as<CpuExperts>(experts.handle);
  const int64_t width = out.cols;
  HADAL_CHECK(out.rows == x.rows && ids.rows == x.rows && weights.rows == x.rows &&
                  weights.cols == ids.cols,
              "x [{}, {}], ids [{}, {}]", x.rows, x.cols, ids.rows, ids.cols);
  HADAL_CHECK(w.experts.back().gate.view().inputs == x.cols &&
                  w.experts.back().down.view().outputs == width,
              "experts of [{}, {}], x of {}", w.experts.back().gate.view().inputs, width, x.cols);
  std::memset(out.data, 0, static_cast<size_t>(out.bytes()));
  for (int64_t first = 0; first < x.rows; first += kTokensAtOnce) {
    const int64_t tokens = std::min(kTokensAtOnce, x.rows - first);
    sort_by_expert(ids, weights, first, tokens, static_cast<int>(w.experts.size()));
    hidden_.reserve_as<float>(tokens * (ids.cols + 1) * w.width_max);
    expert_hidden(x.as<float>(), x.cols, w);
    expert_output(out.as<float>(), width, w);
  }
}

}  // namespace hadal::ops
