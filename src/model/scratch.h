// How much scratch the parts of the forward pass take: the sums of what model.cpp and step.cpp
// allocate. A test measures both and compares.
#pragma once

#include <algorithm>
#include <cstdint>

#include "hadal/core/model_spec.h"
#include "hadal/ops/ops.h"

namespace hadal {

struct ScratchSizes {
  const ModelSpec& spec;
  ops::DType activation_dtype;
  int64_t tokens;

  static int64_t tensor(ops::DType dtype, int64_t rows, int64_t cols) {
    const int64_t bytes = rows * cols * ops::size_of(dtype);
    return (bytes + ops::kScratchAlignment - 1) / ops::kScratchAlignment * ops::kScratchAlignment;
  }

  int64_t activations(int64_t cols) const { return tensor(activation_dtype, tokens, cols); }

  int64_t attention() const {
    const int64_t heads = spec.num_attention_heads;
    return activations(spec.q_lora_rank + spec.kv_dim()) + activations(spec.q_lora_rank) +
           activations(heads * spec.qk_head_dim()) + activations(heads * spec.v_head_dim);
  }

  int64_t dense_mlp() const {
    const int64_t width = spec.intermediate_size;
    return activations(2 * width) + activations(width);
  }

  int64_t moe() const {
    return tensor(ops::DType::kI32, tokens, spec.num_experts_per_tok) +
           tensor(ops::DType::kF32, tokens, spec.num_experts_per_tok);
  }

  int64_t decoder_layer() const {
    return activations(spec.hidden_size) + std::max({attention(), dense_mlp(), moe()});
  }
};

}  // namespace hadal
