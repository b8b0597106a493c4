#include "checkpoint/config_parser.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

#include "checkpoint/bounded_json.h"
#include "checkpoint/json_fields.h"

namespace hadal::checkpoint {
namespace {

using nlohmann::json;

// Upper bounds keep every product of sizes in the program far from overflow.
struct SizeField {
  const char* key;
  int ModelSpec::*member;
  int max;
};
constexpr std::array kSizes{
    SizeField{"hidden_size", &ModelSpec::hidden_size, 1 << 17},
    SizeField{"num_hidden_layers", &ModelSpec::num_hidden_layers, 1 << 10},
    SizeField{"num_attention_heads", &ModelSpec::num_attention_heads, 1 << 10},
    SizeField{"q_lora_rank", &ModelSpec::q_lora_rank, 1 << 14},
    SizeField{"kv_lora_rank", &ModelSpec::kv_lora_rank, 1 << 14},
    SizeField{"qk_nope_head_dim", &ModelSpec::qk_nope_head_dim, 1 << 12},
    SizeField{"qk_rope_head_dim", &ModelSpec::qk_rope_head_dim, 1 << 12},
    SizeField{"v_head_dim", &ModelSpec::v_head_dim, 1 << 12},
    SizeField{"intermediate_size", &ModelSpec::intermediate_size, 1 << 19},
    SizeField{"moe_intermediate_size", &ModelSpec::moe_intermediate_size, 1 << 19},
    SizeField{"n_routed_experts", &ModelSpec::n_routed_experts, 1 << 12},
    SizeField{"n_shared_experts", &ModelSpec::n_shared_experts, 1 << 8},
    SizeField{"n_group", &ModelSpec::n_group, 1 << 12},
    SizeField{"topk_group", &ModelSpec::topk_group, 1 << 12},
    SizeField{"num_experts_per_tok", &ModelSpec::num_experts_per_tok, 1 << 12},
    SizeField{"vocab_size", &ModelSpec::vocab_size, 1 << 22},
    SizeField{"max_position_embeddings", &ModelSpec::max_position_embeddings, 1 << 24},
};

// What makes a config this architecture. An absent key is fine unless it is required.
struct FixedField {
  const char* key;
  json value;
  bool required;
};

Status check_fixed(const json& config) {
  const FixedField fixed[] = {
      {"model_type", "deepseek_v3", true},   {"topk_method", "noaux_tc", true},
      {"scoring_func", "sigmoid", true},     {"norm_topk_prob", true, true},
      {"moe_layer_freq", 1, false},          {"hidden_act", "silu", false},
      {"tie_word_embeddings", false, false}, {"attention_bias", false, false},
      {"rope_interleave", true, false},
  };
  for (const FixedField& field : fixed) {
    const json* value = find(config, field.key);
    if (value == nullptr && !field.required) continue;
    if (value == nullptr || *value != field.value) {
      return refuse(field.key, value, shown(field.value));
    }
  }
  const json* architectures = find(config, "architectures");
  if (architectures == nullptr || *architectures != json::array({"DeepseekV3ForCausalLM"})) {
    return refuse("architectures", architectures, "[\"DeepseekV3ForCausalLM\"]");
  }
  return {};
}

// rope_theta and the YaRN block: either rope_theta beside rope_scaling, or both in rope_parameters.
Result<RopeScaling> parse_rope(const json& config) {
  const json* parameters = find(config, "rope_parameters");
  const char* block_name = parameters != nullptr ? "rope_parameters" : "rope_scaling";
  const json* block = find(config, block_name);
  if (block == nullptr || !block->is_object()) {
    return refuse(block_name, block, "an object of type \"yarn\"");
  }
  const json* type = find(*block, "rope_type");
  if (type == nullptr) type = find(*block, "type");
  if (type == nullptr || *type != "yarn") {
    return refuse(fmt::format("{}.type", block_name), type, "\"yarn\"");
  }
  RopeScaling rope;
  HADAL_ASSIGN_OR_RETURN(rope.rope_theta, parse_number(parameters != nullptr ? *block : config,
                                                       "rope_theta", 1, 1e12));
  HADAL_ASSIGN_OR_RETURN(rope.factor, parse_number(*block, "factor", 1, 1e6));
  HADAL_ASSIGN_OR_RETURN(rope.original_max_position_embeddings,
                         parse_integer(*block, "original_max_position_embeddings", 1, 1 << 24));
  HADAL_ASSIGN_OR_RETURN(rope.beta_fast, parse_number(*block, "beta_fast", 1e-3, 1e6));
  HADAL_ASSIGN_OR_RETURN(rope.beta_slow, parse_number(*block, "beta_slow", 1e-3, 1e6));
  HADAL_ASSIGN_OR_RETURN(rope.mscale, parse_number(*block, "mscale", 0, 1e3));
  HADAL_ASSIGN_OR_RETURN(rope.mscale_all_dim, parse_number(*block, "mscale_all_dim", 0, 1e3));
  // The factor on cos and sin is the quotient of the two: 1 in every model of this family.
  if (rope.mscale != rope.mscale_all_dim) {
    return refuse(fmt::format("{}.mscale", block_name), find(*block, "mscale"),
                  fmt::format("mscale_all_dim ({})", rope.mscale_all_dim));
  }
  return rope;
}

Status check_fp8(const json& declared) {
  const std::pair<const char*, json> wanted[] = {{"fmt", "e4m3"},
                                                 {"activation_scheme", "dynamic"},
                                                 {"weight_block_size", {kFp8Block, kFp8Block}}};
  for (const auto& [key, value] : wanted) {
    const json* found = find(declared, key);
    if (found == nullptr || *found != value) {
      return refuse(fmt::format("quantization_config.{}", key), found, shown(value));
    }
  }
  return {};
}

// `where` holds quant_algo and perhaps group_size.
Status check_nvfp4(const json& declared, const std::string& where) {
  const json* algorithm = find(declared, "quant_algo");
  if (algorithm == nullptr || *algorithm != "NVFP4") {
    return refuse(where + ".quant_algo", algorithm, "\"NVFP4\"");
  }
  const json* group = find(declared, "group_size");
  if (group != nullptr && *group != kNvfp4Group) {
    return refuse(where + ".group_size", group, fmt::format("{}", kNvfp4Group));
  }
  return {};
}

}  // namespace

Result<ModelSpec> parse_model_config(const json& config) {
  if (!config.is_object()) return refuse("config.json", &config, "an object");
  HADAL_RETURN_IF_ERROR(check_fixed(config));
  ModelSpec spec;
  for (const SizeField& field : kSizes) {
    HADAL_ASSIGN_OR_RETURN(spec.*field.member, parse_integer(config, field.key, 1, field.max));
  }
  HADAL_ASSIGN_OR_RETURN(spec.first_k_dense_replace,
                         parse_integer(config, "first_k_dense_replace", 0, 1 << 10));
  if (find(config, "num_nextn_predict_layers") != nullptr) {
    HADAL_ASSIGN_OR_RETURN(spec.num_nextn_predict_layers,
                           parse_integer(config, "num_nextn_predict_layers", 0, 1));
  }
  HADAL_ASSIGN_OR_RETURN(const double scaling,
                         parse_number(config, "routed_scaling_factor", 1e-6, 1e6));
  HADAL_ASSIGN_OR_RETURN(const double eps, parse_number(config, "rms_norm_eps", 1e-12, 1));
  spec.routed_scaling_factor = static_cast<float>(scaling);
  spec.rms_norm_eps = static_cast<float>(eps);
  HADAL_ASSIGN_OR_RETURN(spec.rope, parse_rope(config));
  HADAL_ASSIGN_OR_RETURN(spec.bos_token_id, parse_integer(config, "bos_token_id", 0, 1 << 22));
  HADAL_ASSIGN_OR_RETURN(spec.eos_token_id, parse_integer(config, "eos_token_id", 0, 1 << 22));
  HADAL_RETURN_IF_ERROR(validate(spec));
  return spec;
}

Result<GenerationDefaults> parse_generation_config(const json& config) {
  if (!config.is_object()) return refuse("generation_config.json", &config, "an object");
  GenerationDefaults defaults;
  if (find(config, "temperature") != nullptr) {
    HADAL_ASSIGN_OR_RETURN(const double value, parse_number(config, "temperature", 0, 2));
    defaults.temperature = static_cast<float>(value);
  }
  if (find(config, "top_p") != nullptr) {
    HADAL_ASSIGN_OR_RETURN(const double value, parse_number(config, "top_p", 1e-6, 1));
    defaults.top_p = static_cast<float>(value);
  }
  if (find(config, "top_k") != nullptr) {
    HADAL_ASSIGN_OR_RETURN(defaults.top_k, parse_integer(config, "top_k", 0, 1 << 22));
  }
  const json* do_sample = find(config, "do_sample");
  if (do_sample != nullptr && *do_sample == false) defaults.temperature = 0.0F;
  return defaults;
}

Result<WeightFormat> parse_quantization(const json& config, const json& hf_quant) {
  if (!hf_quant.is_null()) {
    const json* block = find(hf_quant, "quantization");
    if (block == nullptr || !block->is_object()) {
      return refuse("hf_quant_config.json quantization", block, "an object");
    }
    HADAL_RETURN_IF_ERROR(check_nvfp4(*block, "hf_quant_config.json quantization"));
    return WeightFormat::kNvfp4;
  }
  const json* declared = find(config, "quantization_config");
  if (declared == nullptr || declared->is_null()) return WeightFormat::kBf16;
  const json* method = find(*declared, "quant_method");
  if (method != nullptr && *method == "fp8") {
    HADAL_RETURN_IF_ERROR(check_fp8(*declared));
    return WeightFormat::kFp8Block;
  }
  if (method != nullptr && *method == "modelopt") {
    HADAL_RETURN_IF_ERROR(check_nvfp4(*declared, "quantization_config"));
    return WeightFormat::kNvfp4;
  }
  return refuse("quantization_config.quant_method", method, "\"fp8\" or \"modelopt\"");
}

}  // namespace hadal::checkpoint
