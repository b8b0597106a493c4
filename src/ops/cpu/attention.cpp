// Multi-head latent attention in its absorbed form (spec: reference model `MLA.forward`, absorbed
// branch): queries are moved into the latent space by W_UK, attend to the cached latents and
// rotated keys as one shared head, and the result leaves it by W_UV.
//
// Queries are ordered token by token, head by head, in one array [tokens * heads, kv_dim]; a task
// takes up to kAttendQueries neighbours of one sequence. Cache positions are cut at multiples of
// kSplit. Each split gives a partial softmax; partials are merged in ascending order. Neither the
// grouping nor who computes a split changes a query's arithmetic.
#include <algorithm>
#include <cstring>

#include "hadal/core/step_plan.h"
#include "ops/cpu/cpu_ops.h"

namespace hadal::ops {
namespace {

constexpr int64_t kSplit = 512;
static_assert(kSplit % kPageTokens == 0);
constexpr int kRopeDimMax = 256;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Where the entry of `position` lies; the page must have been granted.
uint16_t* cache_entry(const PagedKvCache& cache, int layer, int32_t slot, int32_t position,
                      int kv_dim) {
  const int32_t index = position / kPageTokens;
  HADAL_CHECK(index < cache.pages_per_slot, "position {} of slot {} is behind its page table",
              position, slot);
  const int32_t page = cache.page_table[int64_t{slot} * cache.pages_per_slot + index];
  HADAL_CHECK(page != raw(kTrashPage) && page < cache.pages_total,
              "slot {} writes position {} outside its granted pages", slot, position);
  const int64_t entry =
      (int64_t{page} * cache.layers + layer) * kPageTokens + position % kPageTokens;
  return static_cast<uint16_t*>(cache.pages) + entry * kv_dim;
}

}  // namespace

struct CpuOps::AttentionShape {
  const PagedKvCache* cache;
  int layer, heads, nope, rope, v, latent, kv_dim;
  float scale;
};

void CpuOps::mla_latent(ExecContext&, TensorView q_latent, TensorView qkv_a,
                        const TokenBatch& batch, const PagedKvCache& cache, int layer,
                        const VectorWeight& q_a_layernorm, const VectorWeight& kv_a_layernorm,
                        const ModelSpec& spec) {
  const int kv_dim = spec.kv_dim(), q_rank = spec.q_lora_rank, latent = spec.kv_lora_rank;
  const int pairs = spec.qk_rope_head_dim / 2;
  HADAL_CHECK(layer >= 0 && layer < cache.layers, "layer {} of {}", layer, cache.layers);
  HADAL_CHECK(qkv_a.rows == batch.tokens && qkv_a.cols == q_rank + kv_dim, "qkv_a [{}, {}]",
              qkv_a.rows, qkv_a.cols);
  HADAL_CHECK(q_latent.rows == batch.tokens && q_latent.cols == q_rank, "q_latent [{}, {}]",
              q_latent.rows, q_latent.cols);
  HADAL_CHECK(spec.qk_rope_head_dim <= kRopeDimMax, "rope dim {}", spec.qk_rope_head_dim);
  const float* const q_weight = as<CpuVector>(q_a_layernorm.handle).values.data();
  const float* const kv_weight = as<CpuVector>(kv_a_layernorm.handle).values.data();
  float* const normed = latents_.reserve_as<float>(int64_t{batch.tokens} * kv_dim);
  for_rows(batch.tokens, qkv_a.cols, [&](int64_t t) {
    const float* const row = qkv_a.as<float>() + t * qkv_a.cols;
    kernels_.rms_norm(q_latent.as<float>() + t * q_rank, row, q_weight, q_rank, spec.rms_norm_eps);
    if (batch.slots[t] < 0) return;
    float* const entry = normed + t * kv_dim;
    kernels_.rms_norm(entry, row + q_rank, kv_weight, latent, spec.rms_norm_eps);
    float cosines[kRopeDimMax / 2], sines[kRopeDimMax / 2];
    rope_.at(batch.positions[t], cosines, sines);
    rotate_pairs(entry + latent, row + q_rank + latent, cosines, sines, pairs);
    kernels_.to_bf16(cache_entry(cache, layer, batch.slots[t], batch.positions[t], kv_dim), entry,
                     kv_dim);
  });
}

// The rotated and scaled part of every query, and the scale of the absorbed part.
void CpuOps::rotate_queries(const TensorView& q, const TokenBatch& batch, const AttentionShape& s) {
  float* const queries = queries_.as<float>();
  const int head_dim = s.nope + s.rope;
  for_rows(batch.tokens, int64_t{s.heads} * s.kv_dim, [&](int64_t t) {
    float cosines[kRopeDimMax / 2], sines[kRopeDimMax / 2];
    rope_.at(batch.positions[t], cosines, sines);
    for (int j = 0; j < s.rope / 2; ++j) {
      cosines[j] *= s.scale;
      sines[j] *= s.scale;
    }
    for (int head = 0; head < s.heads; ++head) {
      float* const query = queries + (t * s.heads + head) * s.kv_dim;
      for (int i = 0; i < s.latent; ++i) query[i] *= s.scale;
      rotate_pairs(query + s.latent, q.as<float>() + t * q.cols + head * head_dim + s.nope, cosines,
                   sines, s.rope / 2);
    }
  });
}

void CpuOps::group_queries(const TokenBatch& batch, const AttentionShape& s) {
  groups_.clear();
  query_positions_.resize(static_cast<size_t>(batch.tokens) * static_cast<size_t>(s.heads));
  for (int64_t t = 0; t < batch.tokens; ++t) {
    const int32_t position = batch.slots[t] < 0 ? -1 : batch.positions[t];
    std::fill_n(query_positions_.begin() + t * s.heads, s.heads, position);
  }
  for (int row = 0; row < batch.rows; ++row) {
    const int64_t end = int64_t{batch.row_starts[row + 1]} * s.heads;
    for (int64_t first = int64_t{batch.row_starts[row]} * s.heads; first < end;
         first += kAttendQueries) {
      const auto count = static_cast<int>(std::min<int64_t>(kAttendQueries, end - first));
      QueryGroup group{.first = first, .count = count};
      for (int64_t i = first; i < first + count; ++i) {
        group.slot = std::max(group.slot, batch.slots[i / s.heads]);
        group.end = std::max<int64_t>(group.end, query_positions_[static_cast<size_t>(i)] + 1);
      }
      groups_.push_back(group);
    }
  }
}

// Splits [first_split, last_split) of one group into (maximum, sum, out), merged in order.
void CpuOps::attend_splits(int index, int64_t first_split, int64_t last_split, float* maximum,
                           float* sum, float* out, int thread, const AttentionShape& s) {
  const QueryGroup& group = groups_[static_cast<size_t>(index)];
  PerThread& mine = per_thread_[static_cast<size_t>(thread)];
  const int64_t stride = s.latent + 2;
  float* const later = mine.values.reserve_as<float>(kAttendQueries * stride);
  float* const later_sum = later + kAttendQueries * s.latent;
  float* const later_maximum = later_sum + kAttendQueries;
  for (int64_t split = first_split; split < last_split; ++split) {
    const bool first = split == first_split;
    kernels_.attend(
        {.q = queries_.as<float>() + group.first * s.kv_dim,
         .positions = query_positions_.data() + group.first,
         .queries = group.count,
         .begin = split * kSplit,
         .end = std::min(group.end, (split + 1) * kSplit),
         .pages = static_cast<const uint16_t*>(s.cache->pages) +
                  int64_t{s.layer} * kPageTokens * s.kv_dim,
         .page_stride = int64_t{s.cache->layers} * kPageTokens * s.kv_dim * 2,
         .page_row = s.cache->page_table + int64_t{group.slot} * s.cache->pages_per_slot,
         .latent = s.latent,
         .kv_dim = s.kv_dim,
         .maximum = first ? maximum : later_maximum,
         .sum = first ? sum : later_sum,
         .out = first ? out : later,
         .scratch = mine.attend.reserve(kernels_.attend_scratch_bytes(s.kv_dim))});
    for (int i = 0; !first && i < group.count; ++i) {
      kernels_.merge_split(maximum + i, sum + i, out + i * s.latent, later_maximum[i], later_sum[i],
                           later + i * s.latent, s.latent);
    }
  }
}

void CpuOps::finish_group(const QueryGroup& group, const float* sum, const AttentionShape& s) {
  float* const out = latents_.as<float>() + group.first * s.latent;
  for (int i = 0; i < group.count; ++i) {
    // A query without entries is inert and gives zeros; NaN passes through.
    const float inverse = sum[i] == 0.0F ? 0.0F : 1.0F / sum[i];
    for (int c = 0; c < s.latent; ++c) out[i * s.latent + c] *= inverse;
  }
}

void CpuOps::attend_group(int index, int thread, const AttentionShape& s) {
  const QueryGroup& group = groups_[static_cast<size_t>(index)];
  float maximum[kAttendQueries], sum[kAttendQueries] = {};
  float* const out = latents_.as<float>() + group.first * s.latent;
  if (group.slot < 0) {
    std::memset(out, 0, sizeof(float) * static_cast<size_t>(group.count * s.latent));
    return;
  }
  attend_splits(index, 0, ceil_div(group.end, kSplit), maximum, sum, out, thread, s);
  finish_group(group, sum, s);
}

// Few long sequences: every split of every group is a task of its own.
// Many groups: a task does all splits of one group.
void CpuOps::attend_all(const AttentionShape& s) {
  const auto groups = static_cast<int>(groups_.size());
  int64_t splits = 1;
  for (const QueryGroup& group : groups_) splits = std::max(splits, ceil_div(group.end, kSplit));
  if (splits == 1 || groups >= 2 * pool_.threads()) {
    pool_.run(groups, [&](int group, int thread) { attend_group(group, thread, s); });
    return;
  }
  const int64_t stride = kAttendQueries * (int64_t{s.latent} + 2);
  float* const partials = partials_.reserve_as<float>(groups * splits * stride);
  pool_.run(static_cast<int>(groups * splits), [&](int task, int thread) {
    const auto group = static_cast<int>(task / splits);
    const int64_t split = task % splits;
    if (split * kSplit >= groups_[static_cast<size_t>(group)].end) return;
    float* const part = partials + task * stride;
    float* const out = part + 2 * kAttendQueries;
    attend_splits(group, split, split + 1, part, part + kAttendQueries, out, thread, s);
  });
  for (int index = 0; index < groups; ++index) {
    const QueryGroup& group = groups_[static_cast<size_t>(index)];
    float* const part = partials + index * splits * stride;
    float* const sum = part + kAttendQueries;
    float* const merged = part + 2 * kAttendQueries;
    for (int64_t split = 1; split * kSplit < group.end; ++split) {
      const float* const later = part + split * stride;
      for (int i = 0; i < group.count; ++i) {
        kernels_.merge_split(part + i, sum + i, merged + i * s.latent, later[i],
                             later[kAttendQueries + i], later + 2 * kAttendQueries + i * s.latent,
                             s.latent);
      }
    }
    float* const out = latents_.as<float>() + group.first * s.latent;
    const size_t bytes = sizeof(float) * static_cast<size_t>(group.count * s.latent);
    if (group.slot < 0) {
      std::memset(out, 0, bytes);
    } else {
      std::memcpy(out, merged, bytes);
      finish_group(group, sum, s);
    }
  }
}

void CpuOps::multiply_heads(const std::vector<PackedMatrix>& heads, const float* x,
                            int64_t x_stride, int64_t x_step, float* out, int64_t out_stride,
                            int64_t out_step, int64_t rows) {
  const auto row_blocks = static_cast<int>(ceil_div(rows, kGemmRows));
  const auto count = static_cast<int>(heads.size());
  pool_.run(row_blocks * count, [&](int task, int thread) {
    const int head = task % count;
    const int64_t first = int64_t{task / count} * kGemmRows;
    const MatrixView& w = heads[static_cast<size_t>(head)].view();
    kernels_.gemm({.weight = &w,
                   .x = x + head * x_step + first * x_stride,
                   .x_stride = x_stride,
                   .rows = static_cast<int>(std::min<int64_t>(kGemmRows, rows - first)),
                   .out = out + head * out_step + first * out_stride,
                   .out_stride = out_stride,
                   .tile_begin = 0,
                   .tile_end = w.tile_rows,
                   .scratch = gemm_scratch(thread, w.inputs)});
  });
}

void CpuOps::mla_attention(ExecContext&, TensorView out, TensorView q, const TokenBatch& batch,
                           const PagedKvCache& cache, int layer, const KvUpWeight& kv_up,
                           const ModelSpec& spec) {
  const auto& w = as<CpuKvUp>(kv_up.handle);
  const AttentionShape s{.cache = &cache,
                         .layer = layer,
                         .heads = spec.num_attention_heads,
                         .nope = spec.qk_nope_head_dim,
                         .rope = spec.qk_rope_head_dim,
                         .v = spec.v_head_dim,
                         .latent = spec.kv_lora_rank,
                         .kv_dim = spec.kv_dim(),
                         .scale = static_cast<float>(spec.softmax_scale())};
  HADAL_CHECK(s.latent % 16 == 0 && s.kv_dim % 16 == 0, "cache entry of {} + {} values", s.latent,
              s.rope);
  HADAL_CHECK(q.rows == batch.tokens && q.cols == int64_t{s.heads} * spec.qk_head_dim(),
              "q [{}, {}]", q.rows, q.cols);
  HADAL_CHECK(out.rows == batch.tokens && out.cols == int64_t{s.heads} * s.v, "out [{}, {}]",
              out.rows, out.cols);
  if (batch.tokens == 0) return;
  const int64_t queries = int64_t{batch.tokens} * s.heads;
  queries_.reserve_as<float>(queries * s.kv_dim);
  latents_.reserve_as<float>(queries * s.latent);
  multiply_heads(w.uk, q.as<float>(), q.cols, s.nope + s.rope, queries_.as<float>(),
                 int64_t{s.heads} * s.kv_dim, s.kv_dim, batch.tokens);
  rotate_queries(q, batch, s);
  group_queries(batch, s);
  attend_all(s);
  multiply_heads(w.uv, latents_.as<float>(), int64_t{s.heads} * s.latent, s.latent, out.as<float>(),
                 out.cols, s.v, batch.tokens);
}

}  // namespace hadal::ops
