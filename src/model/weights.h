// The weights of the model as the backend prepared them, and their names in the checkpoint.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "hadal/base/status.h"
#include "hadal/checkpoint/checkpoint.h"
#include "hadal/ops/ops.h"
#include "hadal/ops/weights.h"

namespace hadal {

struct AttentionWeights {
  ops::LinearWeight qkv_a_proj;  // q_a_proj, then kv_a_proj_with_mqa
  ops::VectorWeight q_a_layernorm;
  ops::VectorWeight kv_a_layernorm;
  ops::LinearWeight q_b_proj;
  ops::KvUpWeight kv_b_proj;
  ops::LinearWeight o_proj;
};

struct DenseMlpWeights {
  ops::LinearWeight gate_up_proj;  // gate_proj, then up_proj
  ops::LinearWeight down_proj;
};

struct MoeWeights {
  ops::RouterWeight gate;
  ops::ExpertsWeight experts;
};

struct LayerWeights {
  ops::VectorWeight input_layernorm;
  AttentionWeights self_attn;
  ops::VectorWeight post_attention_layernorm;
  std::variant<DenseMlpWeights, MoeWeights> mlp;
};

// The MTP layer without its copies of embedding and head, which are the model's own.
struct MtpWeights {
  ops::VectorWeight enorm;
  ops::VectorWeight hnorm;
  ops::LinearWeight eh_proj;
  LayerWeights layer;
  ops::VectorWeight shared_head_norm;
};

struct ModelWeights {
  ops::EmbeddingWeight embed_tokens;
  std::vector<LayerWeights> layers;
  ops::VectorWeight norm;
  ops::LinearWeight lm_head;
  std::optional<MtpWeights> mtp;
  int64_t bytes = 0;
};

// REQUIRES: with_mtp only if the checkpoint has an MTP layer.
Result<ModelWeights> load_weights(const Checkpoint& checkpoint, ops::Ops& ops, bool with_mtp);

}  // namespace hadal
