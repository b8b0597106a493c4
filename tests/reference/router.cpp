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

// How far the worst of the chosen is above the best of the others.
float margin_of(const std::vector<float>& values, const std::vector<int32_t>& chosen) {
  float worst = std::numeric_limits<float>::infinity();
  float best_other = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < values.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (std::find(chosen.begin(), chosen.end(), id) != chosen.end()) {
      worst = std::min(worst, values[i]);
    } else {
      best_other = std::max(best_other, values[i]);
    }
  }
  return worst - best_other;
}

// Sets the choices of the groups that are not kept to minus infinity; returns the groups' margin.
float limit_groups(std::vector<float>& choice, const ModelSpec& spec) {
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
  return margin_of(group_scores, kept);
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
  float group_margin = std::numeric_limits<float>::infinity();
  if (mistake != Mistake::kNoGroupLimit) group_margin = limit_groups(choice, spec);
  // "One expert fewer" still fills its k places: the weakest gets no weight.
  const bool one_fewer = mistake == Mistake::kOneExpertFewer;
  const std::vector<int32_t> counted = top(choice, spec.num_experts_per_tok - (one_fewer ? 1 : 0));

  Routing routing{.ids = top(choice, spec.num_experts_per_tok), .weights = {}};
  routing.margin = std::min(group_margin, margin_of(choice, routing.ids));
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
