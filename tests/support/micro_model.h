// A complete checkpoint of the architecture that is as small as it can be, with random bf16
// weights: for tests of what is loaded, not of what comes out.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "hadal/core/model_spec.h"
#include "support/checkpoint_files.h"
#include "support/memory_views.h"

namespace hadal::test {

inline ModelSpec micro_spec() {
  return {.hidden_size = 32,
          .num_hidden_layers = 2,
          .num_nextn_predict_layers = 1,
          .first_k_dense_replace = 1,
          .num_attention_heads = 2,
          .q_lora_rank = 16,
          .kv_lora_rank = 32,
          .qk_nope_head_dim = 16,
          .qk_rope_head_dim = 16,
          .v_head_dim = 16,
          .intermediate_size = 48,
          .moe_intermediate_size = 16,
          .n_routed_experts = 4,
          .n_shared_experts = 1,
          .n_group = 2,
          .topk_group = 1,
          .num_experts_per_tok = 2,
          .routed_scaling_factor = 2.5F,
          .vocab_size = 96,
          .max_position_embeddings = 4096};
}

inline nlohmann::json micro_config() {
  const ModelSpec s = micro_spec();
  nlohmann::json config = tiny_r1_config();
  config.erase("quantization_config");
  const std::pair<const char*, int> sizes[] = {
      {"hidden_size", s.hidden_size},
      {"num_hidden_layers", s.num_hidden_layers},
      {"first_k_dense_replace", s.first_k_dense_replace},
      {"num_attention_heads", s.num_attention_heads},
      {"q_lora_rank", s.q_lora_rank},
      {"kv_lora_rank", s.kv_lora_rank},
      {"qk_nope_head_dim", s.qk_nope_head_dim},
      {"qk_rope_head_dim", s.qk_rope_head_dim},
      {"v_head_dim", s.v_head_dim},
      {"intermediate_size", s.intermediate_size},
      {"moe_intermediate_size", s.moe_intermediate_size},
      {"n_routed_experts", s.n_routed_experts},
      {"n_group", s.n_group},
      {"topk_group", s.topk_group},
      {"num_experts_per_tok", s.num_experts_per_tok},
      {"vocab_size", s.vocab_size},
      {"max_position_embeddings", s.max_position_embeddings},
  };
  for (const auto& [key, value] : sizes) config[key] = value;
  return config;
}

class MicroModel {
 public:
  MicroModel() {
    const ModelSpec s = micro_spec();
    matrix("model.embed_tokens", s.vocab_size, s.hidden_size);
    for (int i = 0; i <= s.num_hidden_layers; ++i) layer(i, s);
    vector("model.norm", s.hidden_size);
    matrix("lm_head", s.vocab_size, s.hidden_size);
    const std::string mtp = "model.layers." + std::to_string(s.mtp_layer()) + ".";
    for (const char* name : {"enorm", "hnorm", "shared_head.norm"}) {
      vector(mtp + name, s.hidden_size);
    }
    matrix(mtp + "eh_proj", s.hidden_size, 2 * s.hidden_size);
    matrix(mtp + "embed_tokens", s.vocab_size, s.hidden_size);
    matrix(mtp + "shared_head.head", s.vocab_size, s.hidden_size);
  }

  std::vector<FileTensor>& tensors() { return tensors_; }

  void write(const TempFolder& folder) const {
    folder.write("config.json", micro_config().dump());
    folder.write("model.safetensors", safetensors_file(tensors_));
  }

 private:
  void matrix(const std::string& name, int out, int in) {
    std::string data;
    for (int i = 0; i < out * in; ++i) {
      const uint16_t bits = to_bf16(normal_(random_) / std::sqrt(static_cast<float>(in)));
      data.append(reinterpret_cast<const char*>(&bits), sizeof bits);
    }
    tensors_.push_back({name + ".weight",
                        "BF16",
                        {static_cast<uint64_t>(out), static_cast<uint64_t>(in)},
                        std::move(data)});
  }
  void vector(const std::string& name, int size) {
    std::string data;
    for (int i = 0; i < size; ++i) data += std::string("\x80\x3f", 2);  // 1.0
    tensors_.push_back({name + ".weight", "BF16", {static_cast<uint64_t>(size)}, std::move(data)});
  }
  void mlp(const std::string& prefix, int width, int hidden) {
    matrix(prefix + "gate_proj", width, hidden);
    matrix(prefix + "up_proj", width, hidden);
    matrix(prefix + "down_proj", hidden, width);
  }
  void layer(int index, const ModelSpec& s) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::string attention = prefix + "self_attn.";
    vector(prefix + "input_layernorm", s.hidden_size);
    matrix(attention + "q_a_proj", s.q_lora_rank, s.hidden_size);
    vector(attention + "q_a_layernorm", s.q_lora_rank);
    matrix(attention + "q_b_proj", s.num_attention_heads * s.qk_head_dim(), s.q_lora_rank);
    matrix(attention + "kv_a_proj_with_mqa", s.kv_dim(), s.hidden_size);
    vector(attention + "kv_a_layernorm", s.kv_lora_rank);
    matrix(attention + "kv_b_proj", s.num_attention_heads * (s.qk_nope_head_dim + s.v_head_dim),
           s.kv_lora_rank);
    matrix(attention + "o_proj", s.hidden_size, s.num_attention_heads * s.v_head_dim);
    vector(prefix + "post_attention_layernorm", s.hidden_size);
    if (!s.is_moe(index)) return mlp(prefix + "mlp.", s.intermediate_size, s.hidden_size);
    matrix(prefix + "mlp.gate", s.n_routed_experts, s.hidden_size);
    tensors_.push_back({prefix + "mlp.gate.e_score_correction_bias",
                        "F32",
                        {static_cast<uint64_t>(s.n_routed_experts)},
                        bytes_of(std::vector<float>(s.n_routed_experts, 0.0F))});
    for (int e = 0; e < s.n_routed_experts; ++e) {
      mlp(prefix + "mlp.experts." + std::to_string(e) + ".", s.moe_intermediate_size,
          s.hidden_size);
    }
    mlp(prefix + "mlp.shared_experts.", s.shared_intermediate_size(), s.hidden_size);
  }

  std::mt19937 random_{7};
  std::normal_distribution<float> normal_;
  std::vector<FileTensor> tensors_;
};

}  // namespace hadal::test
