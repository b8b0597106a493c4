// ModelSpecs that tests share.
#pragma once

#include "hadal/core/model_spec.h"

namespace hadal::test {

// DeepSeek-R1.
inline ModelSpec r1_spec() {
  return {.hidden_size = 7168,
          .num_hidden_layers = 61,
          .num_nextn_predict_layers = 1,
          .first_k_dense_replace = 3,
          .num_attention_heads = 128,
          .q_lora_rank = 1536,
          .kv_lora_rank = 512,
          .qk_nope_head_dim = 128,
          .qk_rope_head_dim = 64,
          .v_head_dim = 128,
          .intermediate_size = 18432,
          .moe_intermediate_size = 2048,
          .n_routed_experts = 256,
          .n_shared_experts = 1,
          .n_group = 8,
          .topk_group = 4,
          .num_experts_per_tok = 8,
          .routed_scaling_factor = 2.5F,
          .vocab_size = 129280,
          .max_position_embeddings = 163840};
}

// The bundled tiny-r1.
inline ModelSpec tiny_r1_spec() {
  return {.hidden_size = 256,
          .num_hidden_layers = 4,
          .num_nextn_predict_layers = 1,
          .first_k_dense_replace = 1,
          .num_attention_heads = 4,
          .q_lora_rank = 256,
          .kv_lora_rank = 512,
          .qk_nope_head_dim = 128,
          .qk_rope_head_dim = 64,
          .v_head_dim = 128,
          .intermediate_size = 1024,
          .moe_intermediate_size = 256,
          .n_routed_experts = 16,
          .n_shared_experts = 1,
          .n_group = 4,
          .topk_group = 2,
          .num_experts_per_tok = 4,
          .routed_scaling_factor = 2.5F,
          .vocab_size = 2048,
          .max_position_embeddings = 163840};
}

}  // namespace hadal::test
