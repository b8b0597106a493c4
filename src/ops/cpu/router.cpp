// Routing (DeepSeek-V3 report, section 2.1.2; reference model `Gate.forward`): which experts a
// token uses, and with what weights.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "ops/cpu/cpu_ops.h"

namespace hadal::ops {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr int kExpertsMax = 1024;

// The index of the largest value, the lowest on ties. A NaN never wins against a number.
int argmax(std::span<const float> values) {
  size_t best = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    if (values[i] > values[best] || std::isnan(values[best])) best = i;
  }
  return static_cast<int>(best);
}

float sum_of_two_best(std::span<const float> values) {
  float first = kMinusInfinity, second = kMinusInfinity;
  for (const float v : values) {
    if (v > first) {
      second = first;
      first = v;
    } else if (v > second) {
      second = v;
    }
  }
  return first + second;
}

// Masks, with -inf, the experts of all groups but the topk_group best.
void keep_best_groups(std::span<float> choice, const ModelSpec& spec) {
  std::array<float, kExpertsMax> group_scores;
  const auto groups = static_cast<size_t>(spec.n_group);
  const size_t width = choice.size() / groups;
  for (size_t g = 0; g < groups; ++g) {
    group_scores[g] = sum_of_two_best(choice.subspan(g * width, width));
  }
  std::array<bool, kExpertsMax> kept{};
  for (int i = 0; i < spec.topk_group; ++i) {
    const auto g = static_cast<size_t>(argmax({group_scores.data(), groups}));
    kept[g] = true;
    group_scores[g] = kMinusInfinity;
  }
  for (size_t g = 0; g < groups; ++g) {
    if (!kept[g]) std::ranges::fill(choice.subspan(g * width, width), kMinusInfinity);
  }
}

// scores: sigmoid of the logits, un-biased.
void choose(std::span<const float> scores, const std::vector<float>& bias, const ModelSpec& spec,
            int32_t* ids, float* weights) {
  std::array<float, kExpertsMax> storage;
  const std::span<float> choice(storage.data(), scores.size());
  for (size_t e = 0; e < choice.size(); ++e) choice[e] = scores[e] + bias[e];
  keep_best_groups(choice, spec);
  const int k = spec.num_experts_per_tok;
  for (int i = 0; i < k; ++i) {
    ids[i] = argmax(choice);
    choice[static_cast<size_t>(ids[i])] = std::numeric_limits<float>::quiet_NaN();  // taken
  }
  std::sort(ids, ids + k);
  float sum = 0.0F;
  for (int i = 0; i < k; ++i) sum += scores[static_cast<size_t>(ids[i])];
  for (int i = 0; i < k; ++i) {
    weights[i] = spec.routed_scaling_factor * scores[static_cast<size_t>(ids[i])] / (sum + 1e-20F);
  }
}

}  // namespace

void CpuOps::route(ExecContext& ctx, TensorView ids, TensorView weights, TensorView x,
                   const RouterWeight& router, const ModelSpec& spec) {
  const auto& r = as<CpuRouter>(router.handle);
  const int64_t experts = r.gate.view().outputs;
  const int k = spec.num_experts_per_tok;
  HADAL_CHECK(experts <= kExpertsMax, "{} experts, at most {}", experts, kExpertsMax);
  HADAL_CHECK(ids.dtype == DType::kI32 && ids.rows == x.rows && ids.cols == k, "ids [{}, {}]",
              ids.rows, ids.cols);
  HADAL_CHECK(weights.dtype == DType::kF32 && weights.rows == x.rows && weights.cols == k,
              "weights [{}, {}]", weights.rows, weights.cols);
  (void)ctx;
  float* const scores = hidden_.reserve_as<float>(x.rows * experts);
  multiply(kernels_.gemm_f32, r.gate.view(), x.as<float>(), x.cols, scores, experts, x.rows);
  for_rows(x.rows, experts * 16, [&](int64_t t) {
    float* const row = scores + t * experts;
    kernels_.sigmoid(row, row, experts);
    choose({row, static_cast<size_t>(experts)}, r.bias, spec, ids.as<int32_t>() + t * k,
           weights.as<float>() + t * k);
  });
}

}  // namespace hadal::ops
