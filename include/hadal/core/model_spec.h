// The sizes of one DeepSeek-V3-architecture model. The structure is fixed (MLA, sigmoid-routed MoE
// with group limit, one MTP layer, YaRN); a checkpoint that differs is refused when its config.json
// is read, so every ModelSpec in the program is valid. Names are those of the reference model's
// config.json.
#pragma once

#include <cstdint>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"

namespace hadal {

// YaRN scaled rotary embedding: the `rope_scaling` block (type "yarn") and `rope_theta`.
struct RopeScaling {
  double rope_theta = 10000.0;
  double factor = 40.0;
  int original_max_position_embeddings = 4096;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double mscale = 1.0;
  double mscale_all_dim = 1.0;
};

struct ModelSpec {
  int hidden_size = 0;
  int num_hidden_layers = 0;         // without the MTP layer, whose index is num_hidden_layers
  int num_nextn_predict_layers = 0;  // 0 or 1
  int first_k_dense_replace = 0;     // layers below this are dense
  int num_attention_heads = 0;
  int q_lora_rank = 0;
  int kv_lora_rank = 0;
  int qk_nope_head_dim = 0;
  int qk_rope_head_dim = 0;
  int v_head_dim = 0;
  int intermediate_size = 0;
  int moe_intermediate_size = 0;
  int n_routed_experts = 0;
  int n_shared_experts = 0;
  int n_group = 0;
  int topk_group = 0;
  int num_experts_per_tok = 0;
  float routed_scaling_factor = 1.0F;
  int vocab_size = 0;
  int max_position_embeddings = 0;
  float rms_norm_eps = 1e-6F;
  RopeScaling rope;
  TokenId bos_token_id = 0;
  TokenId eos_token_id = 1;

  int qk_head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }
  // Width of one token's cache entry in one layer: latent, then rotated key.
  int kv_dim() const { return kv_lora_rank + qk_rope_head_dim; }
  int shared_intermediate_size() const { return moe_intermediate_size * n_shared_experts; }
  bool is_moe(int layer) const { return layer >= first_k_dense_replace; }
  int mtp_layer() const { return num_hidden_layers; }
  bool has_mtp() const { return num_nextn_predict_layers == 1; }

  // qk_head_dim^-0.5 times the square of YaRN's mscale: 0.1352… for R1.
  double softmax_scale() const;
};

// Refuses sizes that the architecture or this program cannot have (zero, indivisible groups, k >
// experts …), naming key, found and wanted.
Status validate(const ModelSpec& spec);

// The rotary frequencies [qk_rope_head_dim / 2] in double precision: YaRN's ramp between the
// unscaled and the factor-scaled ones (YaRN paper, arXiv 2309.00071, section 3.2; reference model
// `precompute_freqs_cis`). `out` receives qk_rope_head_dim / 2 values.
void yarn_inv_freq(const ModelSpec& spec, double* out);

}  // namespace hadal
