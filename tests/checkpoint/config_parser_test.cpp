#include "checkpoint/config_parser.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "support/checkpoint_files.h"
#include "support/specs.h"

namespace hadal::checkpoint {
namespace {

using nlohmann::json;

std::string refusal(const std::function<void(json&)>& change) {
  json config = test::tiny_r1_config();
  change(config);
  const Result<ModelSpec> spec = parse_model_config(config);
  return spec.ok() ? "accepted" : spec.error().message;
}

void expect_tiny(const ModelSpec& spec) {
  const ModelSpec wanted = test::tiny_r1_spec();
  EXPECT_EQ(spec.hidden_size, wanted.hidden_size);
  EXPECT_EQ(spec.num_hidden_layers, wanted.num_hidden_layers);
  EXPECT_EQ(spec.num_nextn_predict_layers, wanted.num_nextn_predict_layers);
  EXPECT_EQ(spec.first_k_dense_replace, wanted.first_k_dense_replace);
  EXPECT_EQ(spec.num_attention_heads, wanted.num_attention_heads);
  EXPECT_EQ(spec.q_lora_rank, wanted.q_lora_rank);
  EXPECT_EQ(spec.kv_lora_rank, wanted.kv_lora_rank);
  EXPECT_EQ(spec.qk_nope_head_dim, wanted.qk_nope_head_dim);
  EXPECT_EQ(spec.qk_rope_head_dim, wanted.qk_rope_head_dim);
  EXPECT_EQ(spec.v_head_dim, wanted.v_head_dim);
  EXPECT_EQ(spec.intermediate_size, wanted.intermediate_size);
  EXPECT_EQ(spec.moe_intermediate_size, wanted.moe_intermediate_size);
  EXPECT_EQ(spec.n_routed_experts, wanted.n_routed_experts);
  EXPECT_EQ(spec.n_shared_experts, wanted.n_shared_experts);
  EXPECT_EQ(spec.n_group, wanted.n_group);
  EXPECT_EQ(spec.topk_group, wanted.topk_group);
  EXPECT_EQ(spec.num_experts_per_tok, wanted.num_experts_per_tok);
  EXPECT_EQ(spec.routed_scaling_factor, 2.5F);
  EXPECT_EQ(spec.vocab_size, wanted.vocab_size);
  EXPECT_EQ(spec.max_position_embeddings, wanted.max_position_embeddings);
  EXPECT_EQ(spec.rms_norm_eps, 1e-6F);
  EXPECT_EQ(spec.rope.rope_theta, 10000.0);
  EXPECT_EQ(spec.rope.factor, 40.0);
  EXPECT_EQ(spec.rope.original_max_position_embeddings, 4096);
  EXPECT_EQ(spec.bos_token_id, 0);
  EXPECT_EQ(spec.eos_token_id, 1);
}

TEST(ConfigParser, ReadsTinyR1) {
  const Result<ModelSpec> spec = parse_model_config(test::tiny_r1_config());
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  expect_tiny(*spec);
}

TEST(ConfigParser, AcceptsNewerSpellings) {
  json config = test::tiny_r1_config();
  config["rope_parameters"] = config["rope_scaling"];
  config["rope_parameters"]["rope_theta"] = config["rope_theta"];
  config["rope_parameters"]["rope_type"] = "yarn";
  config["rope_parameters"].erase("type");
  config.erase("rope_scaling");
  config.erase("rope_theta");
  config["dtype"] = config["torch_dtype"];
  config.erase("torch_dtype");
  const Result<ModelSpec> spec = parse_model_config(config);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  expect_tiny(*spec);
}

TEST(ConfigParser, IgnoresWhatInferenceDoesNotUse) {
  EXPECT_EQ(refusal([](json& c) { c["auto_map"] = {{"AutoModel", "x"}}; }), "accepted");
  EXPECT_EQ(refusal([](json& c) { c["aux_loss_alpha"] = 0.001; }), "accepted");
  EXPECT_EQ(refusal([](json& c) { c.erase("moe_layer_freq"); }), "accepted");
}

TEST(ConfigParser, AbsentMtpCountMeansNone) {
  json config = test::tiny_r1_config();
  config.erase("num_nextn_predict_layers");
  const Result<ModelSpec> spec = parse_model_config(config);
  ASSERT_TRUE(spec.ok());
  EXPECT_FALSE(spec->has_mtp());
}

TEST(ConfigParser, RefusesOtherArchitectures) {
  EXPECT_EQ(refusal([](json& c) { c["model_type"] = "llama"; }),
            "model_type is \"llama\", wanted \"deepseek_v3\"");
  EXPECT_EQ(refusal([](json& c) { c.erase("model_type"); }),
            "model_type is missing, wanted \"deepseek_v3\"");
  EXPECT_EQ(refusal([](json& c) { c["architectures"] = {"LlamaForCausalLM"}; }),
            "architectures is [\"LlamaForCausalLM\"], wanted [\"DeepseekV3ForCausalLM\"]");
  EXPECT_EQ(refusal([](json& c) { c["scoring_func"] = "softmax"; }),
            "scoring_func is \"softmax\", wanted \"sigmoid\"");
  EXPECT_EQ(refusal([](json& c) { c["topk_method"] = "group_limited_greedy"; }),
            "topk_method is \"group_limited_greedy\", wanted \"noaux_tc\"");
  EXPECT_EQ(refusal([](json& c) { c["norm_topk_prob"] = false; }),
            "norm_topk_prob is false, wanted true");
  EXPECT_EQ(refusal([](json& c) { c["moe_layer_freq"] = 2; }), "moe_layer_freq is 2, wanted 1");
  EXPECT_EQ(refusal([](json& c) { c["tie_word_embeddings"] = true; }),
            "tie_word_embeddings is true, wanted false");
  EXPECT_EQ(refusal([](json& c) { c["rope_interleave"] = false; }),
            "rope_interleave is false, wanted true");
  EXPECT_EQ(refusal([](json& c) { c["q_lora_rank"] = nullptr; }),
            "q_lora_rank is null, wanted a whole number from 1 to 16384");
}

TEST(ConfigParser, RefusesOtherRotaryEmbeddings) {
  EXPECT_EQ(refusal([](json& c) { c["rope_scaling"] = nullptr; }),
            "rope_scaling is null, wanted an object of type \"yarn\"");
  EXPECT_EQ(refusal([](json& c) { c["rope_scaling"]["type"] = "linear"; }),
            "rope_scaling.type is \"linear\", wanted \"yarn\"");
  EXPECT_EQ(refusal([](json& c) { c["rope_scaling"]["mscale"] = 0.707; }),
            "rope_scaling.mscale is 0.707, wanted mscale_all_dim (1)");
  EXPECT_EQ(refusal([](json& c) { c["rope_scaling"].erase("factor"); }),
            "factor is missing, wanted a number from 1 to 1000000");
}

TEST(ConfigParser, RefusesSizesOutOfRange) {
  EXPECT_EQ(refusal([](json& c) { c["hidden_size"] = 0; }),
            "hidden_size is 0, wanted a whole number from 1 to 131072");
  EXPECT_EQ(refusal([](json& c) { c["hidden_size"] = 131072; }), "accepted");
  EXPECT_EQ(refusal([](json& c) { c["hidden_size"] = 131073; }),
            "hidden_size is 131073, wanted a whole number from 1 to 131072");
  EXPECT_EQ(refusal([](json& c) { c["hidden_size"] = -1; }),
            "hidden_size is -1, wanted a whole number from 1 to 131072");
  EXPECT_EQ(refusal([](json& c) { c["hidden_size"] = UINT64_MAX; }),
            "hidden_size is 18446744073709551615, wanted a whole number from 1 to 131072");
  EXPECT_EQ(refusal([](json& c) { c["hidden_size"] = 256.0; }),
            "hidden_size is 256.0, wanted a whole number from 1 to 131072");
  EXPECT_EQ(refusal([](json& c) { c["hidden_size"] = "256"; }),
            "hidden_size is \"256\", wanted a whole number from 1 to 131072");
  EXPECT_EQ(refusal([](json& c) { c["n_group"] = 3; }),
            "n_group is 3, wanted a divisor of n_routed_experts (16) leaving groups of 2 or more");
}

TEST(ConfigParser, ReadsSamplingDefaults) {
  const auto parsed = [](const json& config) { return parse_generation_config(config).value(); };
  EXPECT_EQ(parsed(json::object()).temperature, 0.6F);
  EXPECT_EQ(parsed(json::object()).top_p, 0.95F);
  EXPECT_EQ(parsed({{"temperature", 1.5}, {"top_p", 0.5}, {"top_k", 40}}).top_k, 40);
  EXPECT_EQ(parsed({{"temperature", 1.5}, {"do_sample", false}}).temperature, 0.0F);
  EXPECT_EQ(parse_generation_config({{"temperature", 2.5}}).error().message,
            "temperature is 2.5, wanted a number from 0 to 2");
}

std::string declared(const json& config, const json& hf_quant) {
  const Result<WeightFormat> format = parse_quantization(config, hf_quant);
  if (!format) return format.error().message;
  const char* names[] = {"bf16", "fp8", "nvfp4"};
  return names[static_cast<int>(*format)];
}

TEST(ConfigParser, DetectsTheWeightFormat) {
  const json fp8 = test::tiny_r1_config();
  const json nvfp4 = {{"quantization", {{"quant_algo", "NVFP4"}, {"group_size", 16}}}};
  EXPECT_EQ(declared(json::object(), nullptr), "bf16");
  EXPECT_EQ(declared(fp8, nullptr), "fp8");
  EXPECT_EQ(declared(json::object(), nvfp4), "nvfp4");
  EXPECT_EQ(declared(fp8, nvfp4), "nvfp4") << "hf_quant_config.json wins over a stale config";
  EXPECT_EQ(
      declared({{"quantization_config",
                 {{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}, {"ignore", {"lm_head"}}}}},
               nullptr),
      "nvfp4");
}

TEST(ConfigParser, RefusesOtherQuantisations) {
  json config = test::tiny_r1_config();
  config["quantization_config"]["weight_block_size"] = {64, 64};
  EXPECT_EQ(declared(config, nullptr),
            "quantization_config.weight_block_size is [64,64], wanted [128,128]");
  EXPECT_EQ(declared({{"quantization_config", {{"quant_method", "awq"}}}}, nullptr),
            "quantization_config.quant_method is \"awq\", wanted \"fp8\" or \"modelopt\"");
  EXPECT_EQ(declared(json::object(), {{"quantization", {{"quant_algo", "FP8"}}}}),
            "hf_quant_config.json quantization.quant_algo is \"FP8\", wanted \"NVFP4\"");
  EXPECT_EQ(
      declared(json::object(), {{"quantization", {{"quant_algo", "NVFP4"}, {"group_size", 32}}}}),
      "hf_quant_config.json quantization.group_size is 32, wanted 16");
}

// Every value of the config replaced by odd ones: refused, or a spec that passes validate().
TEST(ConfigParser, SurvivesMutatedValues) {
  const json odd[] = {nullptr,    true,          -1,         0,   1,
                      3,          INT32_MAX,     UINT64_MAX, 0.5, 1e300,
                      "deepseek", json::array(), {{"a", 1}}};
  const json original = test::tiny_r1_config();
  for (const auto& [key, unused] : original.items()) {
    for (const json& value : odd) {
      json config = original;
      config[key] = value;
      const Result<ModelSpec> spec = parse_model_config(config);
      if (spec.ok()) {
        EXPECT_TRUE(validate(*spec).ok()) << key << " = " << value;
      }
      (void)parse_quantization(config, nullptr);
    }
  }
  for (const json& value : odd) EXPECT_FALSE(parse_model_config(value).ok()) << value;
}

}  // namespace
}  // namespace hadal::checkpoint
