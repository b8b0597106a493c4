#include "hadal/model/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "model/scratch.h"
#include "model/weights.h"

namespace hadal {

using ops::DType;
using ops::ExecContext;
using ops::PagedKvCache;
using ops::ScratchScope;
using ops::TensorView;
using ops::TokenBatch;

struct Model::Impl {
  ModelSpec spec;
  ops::Ops& ops;
  ModelWeights weights;

  TensorView alloc(ExecContext& ctx, int64_t rows, int64_t cols) const {
    return ctx.alloc(ops.activation_dtype(), rows, cols);
  }

  void attention(ExecContext& ctx, TensorView out, TensorView x, const TokenBatch& batch,
                 const PagedKvCache& cache, int layer, const AttentionWeights& w) const;
  void dense_mlp(ExecContext& ctx, TensorView out, TensorView x, const DenseMlpWeights& w) const;
  void moe(ExecContext& ctx, TensorView out, TensorView x, const MoeWeights& w) const;

  // One decoder layer. On entry x is the normed input and `residual` its un-normed sum; on return
  // x = rms_norm(residual, next_norm): the next layer's input.
  void decoder_layer(ExecContext& ctx, TensorView x, TensorView residual, const TokenBatch& batch,
                     const PagedKvCache& cache, int layer, const LayerWeights& w,
                     const ops::VectorWeight& next_norm) const;
};

void Model::Impl::attention(ExecContext& ctx, TensorView out, TensorView x, const TokenBatch& batch,
                            const PagedKvCache& cache, int layer, const AttentionWeights& w) const {
  const ScratchScope scope(ctx);
  const int64_t heads = spec.num_attention_heads;
  const TensorView qkv_a = alloc(ctx, x.rows, spec.q_lora_rank + spec.kv_dim());
  const TensorView q_latent = alloc(ctx, x.rows, spec.q_lora_rank);
  const TensorView q = alloc(ctx, x.rows, heads * spec.qk_head_dim());
  const TensorView attended = alloc(ctx, x.rows, heads * spec.v_head_dim);
  ops.linear(ctx, qkv_a, x, w.qkv_a_proj);
  ops.mla_latent(ctx, q_latent, qkv_a, batch, cache, layer, w.q_a_layernorm, w.kv_a_layernorm,
                 spec);
  ops.linear(ctx, q, q_latent, w.q_b_proj);
  ops.mla_attention(ctx, attended, q, batch, cache, layer, w.kv_b_proj, spec);
  ops.linear(ctx, out, attended, w.o_proj);
}

void Model::Impl::dense_mlp(ExecContext& ctx, TensorView out, TensorView x,
                            const DenseMlpWeights& w) const {
  const ScratchScope scope(ctx);
  const TensorView gate_up = alloc(ctx, x.rows, 2 * int64_t{spec.intermediate_size});
  const TensorView activated = alloc(ctx, x.rows, spec.intermediate_size);
  ops.linear(ctx, gate_up, x, w.gate_up_proj);
  ops.silu_mul(ctx, activated, gate_up);
  ops.linear(ctx, out, activated, w.down_proj);
}

void Model::Impl::moe(ExecContext& ctx, TensorView out, TensorView x, const MoeWeights& w) const {
  const ScratchScope scope(ctx);
  const TensorView ids = ctx.alloc(DType::kI32, x.rows, spec.num_experts_per_tok);
  const TensorView expert_weights = ctx.alloc(DType::kF32, x.rows, spec.num_experts_per_tok);
  ops.route(ctx, ids, expert_weights, x, w.gate, spec);
  ops.experts(ctx, out, x, ids, expert_weights, w.experts);
}

void Model::Impl::decoder_layer(ExecContext& ctx, TensorView x, TensorView residual,
                                const TokenBatch& batch, const PagedKvCache& cache, int layer,
                                const LayerWeights& w, const ops::VectorWeight& next_norm) const {
  const ScratchScope scope(ctx);
  const TensorView delta = alloc(ctx, x.rows, x.cols);
  attention(ctx, delta, x, batch, cache, layer, w.self_attn);
  ops.add_rms_norm(ctx, x, residual, delta, w.post_attention_layernorm, spec.rms_norm_eps);
  if (const auto* dense = std::get_if<DenseMlpWeights>(&w.mlp)) {
    dense_mlp(ctx, delta, x, *dense);
  } else {
    moe(ctx, delta, x, std::get<MoeWeights>(w.mlp));
  }
  ops.add_rms_norm(ctx, x, residual, delta, next_norm, spec.rms_norm_eps);
}

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

Result<Model> Model::load(const Checkpoint& checkpoint, ops::Ops& ops,
                          const ModelOptions& options) {
  const ModelSpec& spec = checkpoint.spec();
  if (options.mtp && !spec.has_mtp()) {
    return Error{ErrorCode::kInvalidArgument,
                 "config.json: num_nextn_predict_layers is 0, wanted 1: speculative decoding needs "
                 "the MTP layer",
                 "num_nextn_predict_layers"};
  }
  HADAL_ASSIGN_OR_RETURN(ModelWeights weights, load_weights(checkpoint, ops, options.mtp));
  HADAL_RETURN_IF_ERROR(checkpoint.check_unchanged());
  ops.prepare_rope(spec, options.positions_max);
  return Model(std::make_unique<Impl>(spec, ops, std::move(weights)));
}

const ModelSpec& Model::spec() const {
  return impl_->spec;
}
ops::Ops& Model::ops() const {
  return impl_->ops;
}
bool Model::has_mtp() const {
  return impl_->weights.mtp.has_value();
}
int Model::kv_layers() const {
  return spec().num_hidden_layers + (has_mtp() ? 1 : 0);
}
int64_t Model::weight_bytes() const {
  return impl_->weights.bytes;
}

void Model::forward(ExecContext& ctx, TensorView hidden, const TokenBatch& batch,
                    const PagedKvCache& cache) const {
  const ScratchScope scope(ctx);
  const ModelWeights& w = impl_->weights;
  const TensorView residual = impl_->alloc(ctx, hidden.rows, hidden.cols);
  impl_->ops.embed(ctx, residual, batch, w.embed_tokens);
  impl_->ops.rms_norm(ctx, hidden, residual, w.layers[0].input_layernorm, spec().rms_norm_eps);
  const size_t count = w.layers.size();
  for (size_t i = 0; i < count; ++i) {
    const ops::VectorWeight& next_norm = i + 1 < count ? w.layers[i + 1].input_layernorm : w.norm;
    impl_->decoder_layer(ctx, hidden, residual, batch, cache, static_cast<int>(i), w.layers[i],
                         next_norm);
  }
}

void Model::logits(ExecContext& ctx, TensorView logits, TensorView hidden) const {
  impl_->ops.head(ctx, logits, hidden, impl_->weights.lm_head);
}

void Model::mtp(ExecContext& ctx, TensorView z, TensorView v, TensorView hidden,
                const TokenBatch& batch, const PagedKvCache& cache) const {
  HADAL_CHECK(has_mtp(), "the MTP layer is not loaded");
  const MtpWeights& w = *impl_->weights.mtp;
  const float eps = spec().rms_norm_eps;
  {
    const ScratchScope scope(ctx);
    const TensorView joined = impl_->alloc(ctx, hidden.rows, 2 * hidden.cols);
    impl_->ops.mtp_input(ctx, joined, hidden, batch, impl_->weights.embed_tokens, w.enorm, w.hnorm,
                         eps);
    impl_->ops.linear(ctx, v, joined, w.eh_proj);
  }
  impl_->ops.rms_norm(ctx, z, v, w.layer.input_layernorm, eps);
  impl_->decoder_layer(ctx, z, v, batch, cache, spec().mtp_layer(), w.layer, w.shared_head_norm);
}

int64_t Model::forward_scratch_bytes(int64_t tokens) const {
  const ScratchSizes sizes{spec(), impl_->ops.activation_dtype(), tokens};
  return sizes.activations(spec().hidden_size) + sizes.decoder_layer();
}

int64_t Model::mtp_scratch_bytes(int64_t tokens) const {
  const ScratchSizes sizes{spec(), impl_->ops.activation_dtype(), tokens};
  return std::max(sizes.activations(2 * int64_t{spec().hidden_size}), sizes.decoder_layer());
}

}  // namespace hadal
