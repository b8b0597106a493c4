#include "reference/reference_ops.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>

#include "hadal/base/check.h"
#include "hadal/core/limits.h"
#include "hadal/core/step_plan.h"
#include "reference/kernels.h"
#include "reference/reference_weights.h"
#include "reference/router.h"

namespace hadal::reference {
namespace {

using ops::ExecContext;
using ops::PagedKvCache;
using ops::TensorView;
using ops::TokenBatch;

class ReferenceContext final : public ExecContext {
 public:
  explicit ReferenceContext(int64_t bytes) : memory_(static_cast<size_t>(bytes)) {}

  TensorView alloc(ops::DType dtype, int64_t rows, int64_t cols) override {
    TensorView view{nullptr, dtype, rows, cols};
    const int64_t alignment = ops::kScratchAlignment;
    const int64_t bytes = (view.bytes() + alignment - 1) / alignment * alignment;
    HADAL_CHECK(used_ + bytes <= static_cast<int64_t>(memory_.size()),
                "scratch of {} bytes is full", memory_.size());
    view.data = memory_.data() + used_;
    used_ += bytes;
    // Whatever is not overwritten entirely turns into NaN.
    std::memset(view.data, 0xFF, static_cast<size_t>(view.bytes()));
    return view;
  }
  int64_t mark() const override { return used_; }
  void release(int64_t mark) override { used_ = mark; }

 private:
  std::vector<std::byte> memory_;
  int64_t used_ = 0;
};

template <typename WeightType, typename Handle>
const WeightType& as(const Handle& weight) {
  return static_cast<const WeightType&>(*weight.handle);
}

float* row(const TensorView& tensor, int64_t index) {
  return tensor.as<float>() + index * tensor.cols;
}

void norm_row(float* out, const float* x, const std::vector<float>& weight, float eps) {
  double squares = 0.0;
  for (size_t i = 0; i < weight.size(); ++i) squares += double{x[i]} * x[i];
  const double mean = squares / static_cast<double>(weight.size());
  const auto scale = static_cast<float>(1.0 / std::sqrt(mean + eps));
  for (size_t i = 0; i < weight.size(); ++i) out[i] = x[i] * scale * weight[i];
}

float silu(float x) {
  return x / (1.0F + std::exp(-x));
}

void silu_mul_rows(float* out, const float* gate_up, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* gate = gate_up + r * 2 * width;
    for (int64_t i = 0; i < width; ++i) out[r * width + i] = silu(gate[i]) * gate[width + i];
  }
}

std::vector<float> run_mlp(const Mlp& mlp, const float* x, int64_t rows) {
  std::vector<float> gate_up(static_cast<size_t>(rows * mlp.gate_up.out));
  std::vector<float> activated(static_cast<size_t>(rows * mlp.down.in));
  std::vector<float> out(static_cast<size_t>(rows * mlp.down.out));
  matmul(gate_up.data(), x, rows, mlp.gate_up);
  silu_mul_rows(activated.data(), gate_up.data(), rows, mlp.down.in);
  matmul(out.data(), activated.data(), rows, mlp.down);
  return out;
}

void softmax(std::vector<float>& scores) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  float sum = 0.0F;
  for (float& score : scores) {
    score = std::exp(score - largest);
    sum += score;
  }
  for (float& score : scores) score /= sum;
}

}  // namespace

std::unique_ptr<ExecContext> ReferenceOps::make_context(int64_t scratch_bytes) {
  return std::make_unique<ReferenceContext>(scratch_bytes);
}

int64_t ReferenceOps::kv_page_bytes(const ModelSpec& spec) const {
  return int64_t{kPageTokens} * spec.kv_dim() * static_cast<int64_t>(sizeof(float));
}

float* ReferenceOps::cache_entry(const PagedKvCache& cache, const ModelSpec& spec, int layer,
                                 int32_t slot, int32_t position) {
  const int32_t index = position / kPageTokens;
  HADAL_CHECK(index < cache.pages_per_slot, "position {} is past the page table", position);
  const int64_t page = cache.page_table[int64_t{slot} * cache.pages_per_slot + index];
  HADAL_CHECK(page > raw(kTrashPage) && page < cache.pages_total, "page {} of position {}", page,
              position);
  const int64_t entry = (page * cache.layers + layer) * kPageTokens + position % kPageTokens;
  return static_cast<float*>(cache.pages) + entry * spec.kv_dim();
}

void ReferenceOps::rotate(float* x, int32_t position, int dims) const {
  const int pairs = dims / 2;
  const size_t at = static_cast<size_t>(position) * static_cast<size_t>(pairs);
  HADAL_CHECK(at + pairs <= cos_.size(), "position {} has no rotary frequencies", position);
  const bool half_split = mistake_ == Mistake::kHalfSplitRope;
  for (int j = 0; j < pairs; ++j) {
    float& first = half_split ? x[j] : x[2 * j];
    float& second = half_split ? x[j + pairs] : x[2 * j + 1];
    const float a = first;
    const float b = second;
    first = a * cos_[at + j] - b * sin_[at + j];
    second = a * sin_[at + j] + b * cos_[at + j];
  }
}

void ReferenceOps::embed(ExecContext&, TensorView x, const TokenBatch& batch,
                         const ops::EmbeddingWeight& table) {
  const float* rows = as<FloatsWeight>(table).values.data();
  for (int64_t t = 0; t < x.rows; ++t) {
    std::copy_n(rows + batch.ids[t] * x.cols, x.cols, row(x, t));
  }
}

void ReferenceOps::rms_norm(ExecContext&, TensorView out, TensorView x,
                            const ops::VectorWeight& weight, float eps) {
  const std::vector<float>& values = as<FloatsWeight>(weight).values;
  HADAL_CHECK(static_cast<int64_t>(values.size()) == x.cols, "a norm of {} for rows of {}",
              values.size(), x.cols);
  for (int64_t t = 0; t < x.rows; ++t) {
    norm_row(row(out, t), row(x, t), values, eps);
  }
}

void ReferenceOps::add_rms_norm(ExecContext& ctx, TensorView out, TensorView residual,
                                TensorView delta, const ops::VectorWeight& weight, float eps) {
  add_scaled(residual.as<float>(), delta.as<float>(), 1.0F, residual.rows * residual.cols);
  rms_norm(ctx, out, residual, weight, eps);
}

void ReferenceOps::linear(ExecContext&, TensorView out, TensorView x,
                          const ops::LinearWeight& weight) {
  const Matrix& matrix = as<MatrixWeight>(weight).matrix;
  HADAL_CHECK(out.cols == matrix.out && x.cols == matrix.in, "a weight of {} x {} for {} x {}",
              matrix.out, matrix.in, out.cols, x.cols);
  matmul(out.as<float>(), x.as<float>(), x.rows, matrix);
}

void ReferenceOps::mla_latent(ExecContext&, TensorView q_latent, TensorView qkv_a,
                              const TokenBatch& batch, const PagedKvCache& cache, int layer,
                              const ops::VectorWeight& q_a_layernorm,
                              const ops::VectorWeight& kv_a_layernorm, const ModelSpec& spec) {
  for (int64_t t = 0; t < qkv_a.rows; ++t) {
    const float* latent = row(qkv_a, t) + spec.q_lora_rank;
    norm_row(row(q_latent, t), row(qkv_a, t), as<FloatsWeight>(q_a_layernorm).values,
             spec.rms_norm_eps);
    if (batch.slots[t] < 0) continue;
    float* entry = cache_entry(cache, spec, layer, batch.slots[t], batch.positions[t]);
    float* rotated = entry + spec.kv_lora_rank;
    norm_row(entry, latent, as<FloatsWeight>(kv_a_layernorm).values, spec.rms_norm_eps);
    std::copy_n(latent + spec.kv_lora_rank, spec.qk_rope_head_dim, rotated);
    rotate(rotated, batch.positions[t], spec.qk_rope_head_dim);
  }
}

void ReferenceOps::mla_attention(ExecContext&, TensorView out, TensorView q,
                                 const TokenBatch& batch, const PagedKvCache& cache, int layer,
                                 const ops::KvUpWeight& kv_up, const ModelSpec& spec) {
  const auto& up = as<KvUpMatrices>(kv_up);
  const float scale = mistake_ == Mistake::kSoftmaxScaleWithoutYarn
                          ? 1.0F / std::sqrt(static_cast<float>(spec.qk_head_dim()))
                          : static_cast<float>(spec.softmax_scale());
  std::vector<float> query(spec.kv_dim());  // q_nope W_UK, then the rotated q_pe
  std::vector<float> attended(spec.kv_lora_rank);
  for (int64_t t = 0; t < q.rows; ++t) {
    for (int head = 0; head < spec.num_attention_heads; ++head) {
      float* result = row(out, t) + int64_t{head} * spec.v_head_dim;
      if (batch.slots[t] < 0) {
        std::fill_n(result, spec.v_head_dim, 0.0F);
        continue;
      }
      const float* q_head = row(q, t) + int64_t{head} * spec.qk_head_dim();
      float* q_pe = query.data() + spec.kv_lora_rank;
      matmul(query.data(), q_head, 1, up.key_up[head]);
      std::copy_n(q_head + spec.qk_nope_head_dim, spec.qk_rope_head_dim, q_pe);
      rotate(q_pe, batch.positions[t], spec.qk_rope_head_dim);

      std::vector<float> scores;
      for (int32_t p = 0; p <= batch.positions[t]; ++p) {
        const float* key = cache_entry(cache, spec, layer, batch.slots[t], p);
        scores.push_back(scale * dot(query.data(), key, spec.kv_dim()));
      }
      softmax(scores);
      std::fill(attended.begin(), attended.end(), 0.0F);
      for (int32_t p = 0; p <= batch.positions[t]; ++p) {
        const float* value = cache_entry(cache, spec, layer, batch.slots[t], p);
        add_scaled(attended.data(), value, scores[p], spec.kv_lora_rank);
      }
      matmul(result, attended.data(), 1, up.value_up[head]);
    }
  }
}

void ReferenceOps::silu_mul(ExecContext&, TensorView out, TensorView gate_up) {
  silu_mul_rows(out.as<float>(), gate_up.as<float>(), out.rows, out.cols);
}

void ReferenceOps::route(ExecContext&, TensorView ids, TensorView weights, TensorView x,
                         const ops::RouterWeight& router, const ModelSpec& spec) {
  const auto& w = as<RouterMatrix>(router);
  std::vector<float> logits(static_cast<size_t>(spec.n_routed_experts));
  for (int64_t t = 0; t < x.rows; ++t) {
    matmul(logits.data(), row(x, t), 1, w.gate);
    const Routing routing = route_token(logits.data(), w.bias.data(), spec, mistake_);
    route_margins.push_back(routing.margin);
    std::copy(routing.ids.begin(), routing.ids.end(), ids.as<int32_t>() + t * ids.cols);
    std::copy(routing.weights.begin(), routing.weights.end(), row(weights, t));
  }
}

void ReferenceOps::experts(ExecContext&, TensorView out, TensorView x, TensorView ids,
                           TensorView weights, const ops::ExpertsWeight& experts) {
  const auto& w = as<ExpertMatrices>(experts);
  std::fill_n(out.as<float>(), out.rows * out.cols, 0.0F);
  for (int32_t e = 0; e < static_cast<int32_t>(w.routed.size()); ++e) {
    std::vector<std::pair<int64_t, float>> users;  // token, weight
    std::vector<float> inputs;
    for (int64_t i = 0; i < ids.rows * ids.cols; ++i) {
      if (ids.as<int32_t>()[i] != e) continue;
      const int64_t t = i / ids.cols;
      users.emplace_back(t, weights.as<float>()[i]);
      inputs.insert(inputs.end(), row(x, t), row(x, t) + x.cols);
    }
    const std::vector<float> y =
        run_mlp(w.routed[e], inputs.data(), static_cast<int64_t>(users.size()));
    for (size_t i = 0; i < users.size(); ++i) {
      add_scaled(row(out, users[i].first), y.data() + i * out.cols, users[i].second, out.cols);
    }
  }
  const float shared_factor = mistake_ == Mistake::kSharedExpertScaled ? 2.5F : 1.0F;
  const std::vector<float> shared = run_mlp(w.shared, x.as<float>(), x.rows);
  add_scaled(out.as<float>(), shared.data(), shared_factor, out.rows * out.cols);
}

void ReferenceOps::mtp_input(ExecContext&, TensorView out, TensorView hidden,
                             const TokenBatch& batch, const ops::EmbeddingWeight& table,
                             const ops::VectorWeight& enorm, const ops::VectorWeight& hnorm,
                             float eps) {
  const float* rows = as<FloatsWeight>(table).values.data();
  const int64_t h = hidden.cols;
  const bool swapped = mistake_ == Mistake::kHiddenFirstInEhProj;
  for (int64_t t = 0; t < hidden.rows; ++t) {
    float* embedding = row(out, t) + (swapped ? h : 0);
    float* state = row(out, t) + (swapped ? 0 : h);
    norm_row(embedding, rows + batch.ids[t] * h, as<FloatsWeight>(enorm).values, eps);
    norm_row(state, row(hidden, t), as<FloatsWeight>(hnorm).values, eps);
  }
}

void ReferenceOps::gather_rows(ExecContext&, TensorView out, TensorView x, const int32_t* index) {
  for (int64_t i = 0; i < out.rows; ++i) std::copy_n(row(x, index[i]), x.cols, row(out, i));
}

void ReferenceOps::head(ExecContext& ctx, TensorView logits, TensorView x,
                        const ops::LinearWeight& lm_head) {
  linear(ctx, logits, x, lm_head);
}

}  // namespace hadal::reference
