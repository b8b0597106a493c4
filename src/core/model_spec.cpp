#include "hadal/core/model_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hadal {
namespace {

Error refuse(const char* key, long found, const std::string& wanted) {
  return {ErrorCode::kInvalidArgument, fmt::format("{} is {}, wanted {}", key, found, wanted), key};
}

Status validate_positive(const ModelSpec& s) {
  const std::pair<const char*, int> positive[] = {
      {"hidden_size", s.hidden_size},
      {"num_hidden_layers", s.num_hidden_layers},
      {"num_attention_heads", s.num_attention_heads},
      {"q_lora_rank", s.q_lora_rank},
      {"kv_lora_rank", s.kv_lora_rank},
      {"qk_nope_head_dim", s.qk_nope_head_dim},
      {"qk_rope_head_dim", s.qk_rope_head_dim},
      {"v_head_dim", s.v_head_dim},
      {"intermediate_size", s.intermediate_size},
      {"moe_intermediate_size", s.moe_intermediate_size},
      {"n_routed_experts", s.n_routed_experts},
      {"n_shared_experts", s.n_shared_experts},
      {"n_group", s.n_group},
      {"topk_group", s.topk_group},
      {"num_experts_per_tok", s.num_experts_per_tok},
      {"vocab_size", s.vocab_size},
      {"max_position_embeddings", s.max_position_embeddings},
  };
  for (const auto& [key, value] : positive) {
    if (value <= 0) return refuse(key, value, "a positive number");
  }
  return {};
}

}  // namespace

double ModelSpec::softmax_scale() const {
  const double m =
      rope.factor > 1.0 ? 0.1 * rope.mscale_all_dim * std::log(rope.factor) + 1.0 : 1.0;
  return m * m / std::sqrt(static_cast<double>(qk_head_dim()));
}

Status validate(const ModelSpec& s) {
  HADAL_RETURN_IF_ERROR(validate_positive(s));
  if (s.num_nextn_predict_layers < 0 || s.num_nextn_predict_layers > 1) {
    return refuse("num_nextn_predict_layers", s.num_nextn_predict_layers, "0 or 1");
  }
  if (s.first_k_dense_replace < 0 || s.first_k_dense_replace > s.num_hidden_layers) {
    return refuse("first_k_dense_replace", s.first_k_dense_replace,
                  fmt::format("0 to num_hidden_layers ({})", s.num_hidden_layers));
  }
  if (s.qk_rope_head_dim % 2 != 0)
    return refuse("qk_rope_head_dim", s.qk_rope_head_dim, "an even number");
  if (s.n_routed_experts % s.n_group != 0 || s.n_routed_experts / s.n_group < 2) {
    return refuse("n_group", s.n_group,
                  fmt::format("a divisor of n_routed_experts ({}) leaving groups of 2 or more",
                              s.n_routed_experts));
  }
  if (s.topk_group > s.n_group) {
    return refuse("topk_group", s.topk_group, fmt::format("at most n_group ({})", s.n_group));
  }
  const int selectable = s.topk_group * (s.n_routed_experts / s.n_group);
  if (s.num_experts_per_tok > selectable) {
    return refuse("num_experts_per_tok", s.num_experts_per_tok,
                  fmt::format("at most the {} experts of topk_group groups", selectable));
  }
  for (const auto& [key, id] :
       {std::pair{"bos_token_id", s.bos_token_id}, {"eos_token_id", s.eos_token_id}}) {
    if (id < 0 || id >= s.vocab_size) {
      return refuse(key, id, fmt::format("0 to vocab_size - 1 ({})", s.vocab_size - 1));
    }
  }
  return {};
}

void yarn_inv_freq(const ModelSpec& spec, double* out) {
  const RopeScaling& r = spec.rope;
  const int d = spec.qk_rope_head_dim;
  const auto correction = [&](double rotations) {
    return d * std::log(r.original_max_position_embeddings / (rotations * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(r.rope_theta));
  };
  const double low = std::max(std::floor(correction(r.beta_fast)), 0.0);
  double high = std::min(std::ceil(correction(r.beta_slow)), d - 1.0);
  if (high == low) high += 0.001;  // as the reference: no division by zero
  for (int j = 0; j < d / 2; ++j) {
    const double unscaled = std::pow(r.rope_theta, -2.0 * j / d);
    const double ramp = std::clamp((j - low) / (high - low), 0.0, 1.0);
    out[j] = unscaled * (1.0 - ramp) + unscaled / r.factor * ramp;
  }
}

}  // namespace hadal
