// DeepSeek-V3 routing of one token, from the formulas.
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/core/model_spec.h"
#include "reference/mistakes.h"

namespace hadal::reference {

struct Routing {
  std::vector<int32_t> ids;  // ascending
  std::vector<float> weights;
  // How much a biased score, or a group's, would have to change for another choice.
  float margin = 0.0F;
};

// logits and bias [n_routed_experts]
Routing route_token(const float* logits, const float* bias, const ModelSpec& spec, Mistake mistake);

}  // namespace hadal::reference
