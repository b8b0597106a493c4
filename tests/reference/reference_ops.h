// A plain fp32 implementation of ops::Ops, to test others against: weights are dequantised to fp32
// when they are prepared, activations and the cache are fp32, loops are the formulas. It can make
// one mistake on purpose.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "hadal/ops/ops.h"
#include "reference/mistakes.h"

namespace hadal::reference {

class ReferenceOps final : public ops::Ops {
 public:
  explicit ReferenceOps(Mistake mistake = Mistake::kNone) : mistake_(mistake) {}

  ops::DType activation_dtype() const override { return ops::DType::kF32; }
  std::unique_ptr<ops::ExecContext> make_context(int64_t scratch_bytes) override;

  Result<ops::LinearWeight> prepare_linear(std::span<const LinearView> parts) override;
  Result<ops::VectorWeight> prepare_vector(const VectorView& vector) override;
  Result<ops::KvUpWeight> prepare_kv_up(const LinearView& kv_b_proj,
                                        const ModelSpec& spec) override;
  Result<ops::RouterWeight> prepare_router(const LinearView& gate, const VectorView& bias,
                                           const ModelSpec& spec) override;
  Result<ops::ExpertsWeight> prepare_experts(std::span<const MlpView> routed,
                                             const MlpView& shared) override;
  Result<ops::EmbeddingWeight> prepare_embedding(const LinearView& table) override;
  void prepare_rope(const ModelSpec& spec, int64_t positions_max) override;

  // Pages are [page][layer][kPageTokens][kv_dim] f32.
  int64_t kv_page_bytes(const ModelSpec& spec) const override;
  // The cache entry [kv_dim] of a position of a slot.
  static float* cache_entry(const ops::PagedKvCache& cache, const ModelSpec& spec, int layer,
                            int32_t slot, int32_t position);

  // The margin (router.h) of every token routed since the last clear, in order.
  std::vector<float> route_margins;

  void embed(ops::ExecContext& ctx, ops::TensorView x, const ops::TokenBatch& batch,
             const ops::EmbeddingWeight& table) override;
  void rms_norm(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView x,
                const ops::VectorWeight& weight, float eps) override;
  void add_rms_norm(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView residual,
                    ops::TensorView delta, const ops::VectorWeight& weight, float eps) override;
  void linear(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView x,
              const ops::LinearWeight& weight) override;
  void mla_latent(ops::ExecContext& ctx, ops::TensorView q_latent, ops::TensorView qkv_a,
                  const ops::TokenBatch& batch, const ops::PagedKvCache& cache, int layer,
                  const ops::VectorWeight& q_a_layernorm, const ops::VectorWeight& kv_a_layernorm,
                  const ModelSpec& spec) override;
  void mla_attention(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView q,
                     const ops::TokenBatch& batch, const ops::PagedKvCache& cache, int layer,
                     const ops::KvUpWeight& kv_up, const ModelSpec& spec) override;
  void silu_mul(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView gate_up) override;
  void route(ops::ExecContext& ctx, ops::TensorView ids, ops::TensorView weights, ops::TensorView x,
             const ops::RouterWeight& router, const ModelSpec& spec) override;
  void experts(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView x, ops::TensorView ids,
               ops::TensorView weights, const ops::ExpertsWeight& experts) override;
  void mtp_input(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView hidden,
                 const ops::TokenBatch& batch, const ops::EmbeddingWeight& table,
                 const ops::VectorWeight& enorm, const ops::VectorWeight& hnorm,
                 float eps) override;
  void gather_rows(ops::ExecContext& ctx, ops::TensorView out, ops::TensorView x,
                   const int32_t* index) override;
  void head(ops::ExecContext& ctx, ops::TensorView logits, ops::TensorView x,
            const ops::LinearWeight& lm_head) override;

 private:
  void rotate(float* x, int32_t position, int dims) const;

  const Mistake mistake_;
  std::vector<float> cos_;  // [positions, qk_rope_head_dim / 2]
  std::vector<float> sin_;
};

}  // namespace hadal::reference
