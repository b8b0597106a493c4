#include "model/weights.h"

#include <fmt/format.h>

#include <array>
#include <set>
#include <string>
#include <utility>

#include "hadal/base/log.h"

namespace hadal {
namespace {

// Looks tensors up, has the backend prepare them, and remembers their names and sizes.
class Binder {
 public:
  Binder(const Checkpoint& checkpoint, ops::Ops& ops) : checkpoint_(checkpoint), ops_(ops) {}

  Result<ModelWeights> model(bool with_mtp);
  void report_unknown_tensors(bool with_mtp) const;

 private:
  Result<LayerWeights> layer(int index);
  Result<AttentionWeights> attention(const std::string& prefix);
  Result<DenseMlpWeights> dense_mlp(const std::string& prefix);
  Result<MoeWeights> moe(const std::string& prefix);
  Result<MtpWeights> mtp();

  Result<LinearView> view(const std::string& name, int64_t out, int64_t in) {
    bound_.insert(name);
    return checkpoint_.linear(name, out, in);
  }
  Result<MlpView> mlp_view(const std::string& prefix, int64_t width);
  Result<ops::LinearWeight> linear(const std::string& name, int64_t out, int64_t in);
  Result<ops::VectorWeight> norm(const std::string& name, int64_t size);

  // Counts what a weight occupies.
  template <typename WeightType>
  Result<WeightType> counted(Result<WeightType> weight) {
    if (weight.ok()) bytes_ += weight->handle->bytes();
    return weight;
  }

  const Checkpoint& checkpoint_;
  ops::Ops& ops_;
  const ModelSpec& spec_ = checkpoint_.spec();
  std::set<std::string, std::less<>> bound_;  // tensor names without their last component
  int64_t bytes_ = 0;
};

std::string layer_prefix(int index) {
  return fmt::format("model.layers.{}.", index);
}

Result<ops::LinearWeight> Binder::linear(const std::string& name, int64_t out, int64_t in) {
  HADAL_ASSIGN_OR_RETURN(const LinearView part, view(name, out, in));
  return counted(ops_.prepare_linear({&part, 1}));
}

Result<ops::VectorWeight> Binder::norm(const std::string& name, int64_t size) {
  bound_.insert(name);
  HADAL_ASSIGN_OR_RETURN(const VectorView vector,
                         checkpoint_.vector(name + ".weight", VectorType::kBf16, size));
  return counted(ops_.prepare_vector(vector));
}

Result<MlpView> Binder::mlp_view(const std::string& prefix, int64_t width) {
  MlpView mlp;
  HADAL_ASSIGN_OR_RETURN(mlp.gate_proj, view(prefix + "gate_proj", width, spec_.hidden_size));
  HADAL_ASSIGN_OR_RETURN(mlp.up_proj, view(prefix + "up_proj", width, spec_.hidden_size));
  HADAL_ASSIGN_OR_RETURN(mlp.down_proj, view(prefix + "down_proj", spec_.hidden_size, width));
  return mlp;
}

Result<AttentionWeights> Binder::attention(const std::string& prefix) {
  const int64_t hidden = spec_.hidden_size;
  const int64_t heads = spec_.num_attention_heads;
  std::array<LinearView, 2> qkv_a;
  HADAL_ASSIGN_OR_RETURN(qkv_a[0], view(prefix + "q_a_proj", spec_.q_lora_rank, hidden));
  HADAL_ASSIGN_OR_RETURN(qkv_a[1], view(prefix + "kv_a_proj_with_mqa", spec_.kv_dim(), hidden));
  HADAL_ASSIGN_OR_RETURN(
      const LinearView kv_b,
      view(prefix + "kv_b_proj", heads * (spec_.qk_nope_head_dim + spec_.v_head_dim),
           spec_.kv_lora_rank));
  AttentionWeights w;
  HADAL_ASSIGN_OR_RETURN(w.qkv_a_proj, counted(ops_.prepare_linear(qkv_a)));
  HADAL_ASSIGN_OR_RETURN(w.q_a_layernorm, norm(prefix + "q_a_layernorm", spec_.q_lora_rank));
  HADAL_ASSIGN_OR_RETURN(w.kv_a_layernorm, norm(prefix + "kv_a_layernorm", spec_.kv_lora_rank));
  HADAL_ASSIGN_OR_RETURN(
      w.q_b_proj, linear(prefix + "q_b_proj", heads * spec_.qk_head_dim(), spec_.q_lora_rank));
  HADAL_ASSIGN_OR_RETURN(w.kv_b_proj, counted(ops_.prepare_kv_up(kv_b, spec_)));
  HADAL_ASSIGN_OR_RETURN(w.o_proj, linear(prefix + "o_proj", hidden, heads * spec_.v_head_dim));
  return w;
}

Result<DenseMlpWeights> Binder::dense_mlp(const std::string& prefix) {
  HADAL_ASSIGN_OR_RETURN(const MlpView mlp, mlp_view(prefix, spec_.intermediate_size));
  const std::array gate_up = {mlp.gate_proj, mlp.up_proj};
  DenseMlpWeights w;
  HADAL_ASSIGN_OR_RETURN(w.gate_up_proj, counted(ops_.prepare_linear(gate_up)));
  HADAL_ASSIGN_OR_RETURN(w.down_proj, counted(ops_.prepare_linear({&mlp.down_proj, 1})));
  return w;
}

Result<MoeWeights> Binder::moe(const std::string& prefix) {
  const int experts = spec_.n_routed_experts;
  HADAL_ASSIGN_OR_RETURN(const LinearView gate, view(prefix + "gate", experts, spec_.hidden_size));
  HADAL_ASSIGN_OR_RETURN(
      const VectorView bias,
      checkpoint_.vector(prefix + "gate.e_score_correction_bias", VectorType::kF32, experts));
  std::vector<MlpView> routed(experts);
  for (int e = 0; e < experts; ++e) {
    HADAL_ASSIGN_OR_RETURN(
        routed[e], mlp_view(fmt::format("{}experts.{}.", prefix, e), spec_.moe_intermediate_size));
  }
  HADAL_ASSIGN_OR_RETURN(const MlpView shared,
                         mlp_view(prefix + "shared_experts.", spec_.shared_intermediate_size()));
  MoeWeights w;
  HADAL_ASSIGN_OR_RETURN(w.gate, counted(ops_.prepare_router(gate, bias, spec_)));
  HADAL_ASSIGN_OR_RETURN(w.experts, counted(ops_.prepare_experts(routed, shared)));
  return w;
}

Result<LayerWeights> Binder::layer(int index) {
  const std::string prefix = layer_prefix(index);
  LayerWeights w;
  HADAL_ASSIGN_OR_RETURN(w.input_layernorm, norm(prefix + "input_layernorm", spec_.hidden_size));
  HADAL_ASSIGN_OR_RETURN(w.self_attn, attention(prefix + "self_attn."));
  HADAL_ASSIGN_OR_RETURN(w.post_attention_layernorm,
                         norm(prefix + "post_attention_layernorm", spec_.hidden_size));
  if (spec_.is_moe(index)) {
    HADAL_ASSIGN_OR_RETURN(w.mlp, moe(prefix + "mlp."));
  } else {
    HADAL_ASSIGN_OR_RETURN(w.mlp, dense_mlp(prefix + "mlp."));
  }
  return w;
}

Result<MtpWeights> Binder::mtp() {
  const std::string prefix = layer_prefix(spec_.mtp_layer());
  const int64_t hidden = spec_.hidden_size;
  MtpWeights w;
  HADAL_ASSIGN_OR_RETURN(w.enorm, norm(prefix + "enorm", hidden));
  HADAL_ASSIGN_OR_RETURN(w.hnorm, norm(prefix + "hnorm", hidden));
  HADAL_ASSIGN_OR_RETURN(w.eh_proj, linear(prefix + "eh_proj", hidden, 2 * hidden));
  HADAL_ASSIGN_OR_RETURN(w.layer, layer(spec_.mtp_layer()));
  HADAL_ASSIGN_OR_RETURN(w.shared_head_norm, norm(prefix + "shared_head.norm", hidden));
  return w;
}

Result<ModelWeights> Binder::model(bool with_mtp) {
  ModelWeights w;
  HADAL_ASSIGN_OR_RETURN(const LinearView table,
                         view("model.embed_tokens", spec_.vocab_size, spec_.hidden_size));
  HADAL_ASSIGN_OR_RETURN(w.embed_tokens, counted(ops_.prepare_embedding(table)));
  for (int i = 0; i < spec_.num_hidden_layers; ++i) {
    HADAL_ASSIGN_OR_RETURN(LayerWeights next, layer(i));
    w.layers.push_back(std::move(next));
  }
  HADAL_ASSIGN_OR_RETURN(w.norm, norm("model.norm", spec_.hidden_size));
  HADAL_ASSIGN_OR_RETURN(w.lm_head, linear("lm_head", spec_.vocab_size, spec_.hidden_size));
  if (with_mtp) {
    HADAL_ASSIGN_OR_RETURN(w.mtp, mtp());
  }
  w.bytes = bytes_;
  return w;
}

// Left out on purpose: the MTP layer's copies of embedding and head, or all of an unused MTP layer.
void Binder::report_unknown_tensors(bool with_mtp) const {
  const std::string mtp_prefix = spec_.has_mtp() ? layer_prefix(spec_.mtp_layer()) : "";
  const auto left_out = [&](std::string_view base) {
    if (mtp_prefix.empty() || !base.starts_with(mtp_prefix)) return false;
    const std::string_view rest = base.substr(mtp_prefix.size());
    return !with_mtp || rest == "embed_tokens" || rest == "shared_head.head";
  };
  int count = 0;
  std::string first;
  for (const std::string_view name : checkpoint_.tensor_names()) {
    const std::string_view base = name.substr(0, name.rfind('.'));
    if (bound_.contains(base) || left_out(base)) continue;
    if (count++ == 0) first = printable(name);
  }
  if (count > 0) {
    log().warn(
        "{} tensors of the checkpoint are not part of this architecture and are ignored, "
        "the first is {}",
        count, first);
  }
}

}  // namespace

Result<ModelWeights> load_weights(const Checkpoint& checkpoint, ops::Ops& ops, bool with_mtp) {
  Binder binder(checkpoint, ops);
  Result<ModelWeights> weights = binder.model(with_mtp);
  if (weights.ok()) binder.report_unknown_tensors(with_mtp);
  return weights;
}

}  // namespace hadal
