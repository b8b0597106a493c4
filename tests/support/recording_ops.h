// Passes every operation on to another Ops and keeps what the activation goldens hold.
// REQUIRES: the inner Ops works in host memory with f32 activations.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "hadal/ops/ops.h"

namespace hadal::test {

class RecordingOps final : public ops::Ops {
 public:
  explicit RecordingOps(ops::Ops& inner) : inner_(inner) {}

  // In order of the calls since the last clear().
  std::vector<std::vector<float>> embeddings;
  std::vector<std::vector<float>> residuals;  // after each add_rms_norm: two a layer
  std::vector<std::vector<float>> attended;   // outputs of mla_attention
  std::vector<std::vector<int32_t>> expert_ids;
  std::vector<std::vector<float>> expert_weights;
  std::vector<std::vector<float>> linears;  // outputs of linear

  void clear() {
    embeddings.clear();
    residuals.clear();
    attended.clear();
    expert_ids.clear();
    expert_weights.clear();
    linears.clear();
  }

  ops::DType activation_dtype() const override { return inner_.activation_dtype(); }
  std::unique_ptr<ops::ExecContext> make_context(int64_t bytes) override {
    return inner_.make_context(bytes);
  }
  Result<ops::LinearWeight> prepare_linear(std::span<const LinearView> parts) override {
    return inner_.prepare_linear(parts);
  }
  Result<ops::VectorWeight> prepare_vector(const VectorView& vector) override {
    return inner_.prepare_vector(vector);
  }
  Result<ops::KvUpWeight> prepare_kv_up(const LinearView& view, const ModelSpec& spec) override {
    return inner_.prepare_kv_up(view, spec);
  }
  Result<ops::RouterWeight> prepare_router(const LinearView& gate, const VectorView& bias,
                                           const ModelSpec& spec) override {
    return inner_.prepare_router(gate, bias, spec);
  }
  Result<ops::ExpertsWeight> prepare_experts(std::span<const MlpView> routed,
                                             const MlpView& shared) override {
    return inner_.prepare_experts(routed, shared);
  }
  Result<ops::EmbeddingWeight> prepare_embedding(const LinearView& table) override {
    return inner_.prepare_embedding(table);
  }
  void prepare_rope(const ModelSpec& spec, int64_t positions_max) override {
    inner_.prepare_rope(spec, positions_max);
  }
  int64_t kv_page_bytes(const ModelSpec& spec) const override { return inner_.kv_page_bytes(spec); }

  void embed(ops::ExecContext& ctx, ops::TensorView x, const ops::TokenBatch& batch,
             const ops::EmbeddingWeight& table) override {
    inner_.embed(ctx, x, batch, table);
    embeddings.push_back(copy<float>(x));
  }
  void rms_norm(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView x,
                const ops::VectorWeight& weight, float eps) override {
    inner_.rms_norm(ctx, out, x, weight, eps);
  }
  void add_rms_norm(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView residual,
                    ops::TensorView delta, const ops::VectorWeight& weight, float eps) override {
    inner_.add_rms_norm(ctx, out, residual, delta, weight, eps);
    residuals.push_back(copy<float>(residual));
  }
  void linear(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView x,
              const ops::LinearWeight& weight) override {
    inner_.linear(ctx, out, x, weight);
    linears.push_back(copy<float>(out));
  }
  void mla_latent(ops::ExecContext& ctx, ops::TensorView q_latent, ops::TensorView qkv_a,
                  const ops::TokenBatch& batch, const ops::PagedKvCache& cache, int layer,
                  const ops::VectorWeight& q_a_layernorm, const ops::VectorWeight& kv_a_layernorm,
                  const ModelSpec& spec) override {
    inner_.mla_latent(ctx, q_latent, qkv_a, batch, cache, layer, q_a_layernorm, kv_a_layernorm,
                      spec);
  }
  void mla_attention(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView q,
                     const ops::TokenBatch& batch, const ops::PagedKvCache& cache, int layer,
                     const ops::KvUpWeight& kv_up, const ModelSpec& spec) override {
    inner_.mla_attention(ctx, out, q, batch, cache, layer, kv_up, spec);
    attended.push_back(copy<float>(out));
  }
  void silu_mul(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView gate_up) override {
    inner_.silu_mul(ctx, out, gate_up);
  }
  void route(ops::ExecContext& ctx, ops::TensorView ids, ops::TensorView weights, ops::TensorView x,
             const ops::RouterWeight& router, const ModelSpec& spec) override {
    inner_.route(ctx, ids, weights, x, router, spec);
    expert_ids.push_back(copy<int32_t>(ids));
    expert_weights.push_back(copy<float>(weights));
  }
  void experts(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView x, ops::TensorView ids,
               ops::TensorView weights, const ops::ExpertsWeight& experts) override {
    inner_.experts(ctx, out, x, ids, weights, experts);
  }
  void mtp_input(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView hidden,
                 const ops::TokenBatch& batch, const ops::EmbeddingWeight& table,
                 const ops::VectorWeight& enorm, const ops::VectorWeight& hnorm,
                 float eps) override {
    inner_.mtp_input(ctx, out, hidden, batch, table, enorm, hnorm, eps);
  }
  void gather_rows(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView x,
                   const int32_t* index) override {
    inner_.gather_rows(ctx, out, x, index);
  }
  void head(ops::ExecContext& ctx, ops::TensorView logits, ops::TensorView x,
            const ops::LinearWeight& lm_head) override {
    inner_.head(ctx, logits, x, lm_head);
  }

 private:
  template <typename T>
  static std::vector<T> copy(const ops::TensorView& tensor) {
    return {tensor.as<T>(), tensor.as<T>() + tensor.rows * tensor.cols};
  }

  ops::Ops& inner_;
};

}  // namespace hadal::test
