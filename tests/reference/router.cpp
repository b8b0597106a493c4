#include "reference/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace hadal::reference {
namespace {

// Indices of the k largest values, the lowest index first among equals, ascending.
std::vector<int32_t> top(const std::vector<float>& values, int k) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return values[a] > values[b]; });
  order.resize(k);
  std::sort(order.begin(), order.end());
  return order;
}

// Sets the choices of the groups that are not kept to minus infinity.
void limit_groups(std::vector<float>& choice, const ModelSpec& spec) {
  const int size = spec.n_routed_experts / spec.n_group;
  std::vector<float> group_scores;
  for (int g = 0; g < spec.n_group; ++g) {
    std::vector<float> group(choice.begin() + g * size, choice.begin() + (g + 1) * size);
    std::sort(group.begin(), group.end(), std::greater<>());
    group_scores.push_back(group[0] + group[1]);
  }
  const std::vector<int32_t> kept = top(group_scores, spec.topk_group);
  for (int e = 0; e < spec.n_routed_experts; ++e) {
    if (std::find(kept.begin(), kept.end(), e / size) == kept.end()) {
      choice[e] = -std::numeric_limits<float>::infinity();
    }
  }
}

}  // namespace

Routing route_token(const float* logits, const float* bias, const ModelSpec& spec,
                    Mistake mistake) {
  const int experts = spec.n_routed_experts;
  std::vector<float> scores(experts);
  std::vector<float> choice(experts);
  for (int e = 0; e < experts; ++e) {
    scores[e] = 1.0F / (1.0F + std::exp(-logits[e]));
    choice[e] = scores[e] + (mistake == Mistake::kBiasIgnored ? 0.0F : bias[e]);
  }
  const std::vector<float> biased = choice;
  if (mistake != Mistake::kNoGroupLimit) limit_groups(choice, spec);
  // "One expert fewer" still fills its k places: the weakest gets no weight.
  const bool one_fewer = mistake == Mistake::kOneExpertFewer;
  const std::vector<int32_t> counted = top(choice, spec.num_experts_per_tok - (one_fewer ? 1 : 0));

  Routing routing{.ids = top(choice, spec.num_experts_per_tok), .weights = {}};
  float sum = 0.0F;
  for (const int32_t id : routing.ids) {
    const bool counts = std::find(counted.begin(), counted.end(), id) != counted.end();
    const float score = mistake == Mistake::kWeightsFromBiasedScores ? biased[id] : scores[id];
    routing.weights.push_back(counts ? score : 0.0F);
    sum += routing.weights.back();
  }
  const float divisor = mistake == Mistake::kWeightsNotNormalised ? 1.0F : sum + 1e-20F;
  const float factor = mistake == Mistake::kScalingFactorOne ? 1.0F : spec.routed_scaling_factor;
  for (float& weight : routing.weights) weight = weight / divisor * factor;
  return routing;
}

}  // namespace hadal::reference
