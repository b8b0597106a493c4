// The comparisons with tests/golden that several tests make: each says how far an implementation is
// from the goldens, so that one test can want it near and another, with a planted mistake, far.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "hadal/model/model.h"
#include "hadal/ops/ops.h"
#include "reference/mistakes.h"
#include "support/recording_ops.h"
#include "support/tolerance.h"

namespace hadal::test {

inline constexpr int kGoldenPositions = 1024;  // longer than every golden sequence

// The model of `format` over `ops`, MTP layer included. The goldens fail where it is missing.
Model load_tiny_r1(const std::string& format, ops::Ops& ops);

// Worst deviation of the last row's logits, over the first `cases` prompts.
double logits_deviation(const Model& model, const std::string& format, int cases,
                        Deviation deviation = worst_deviation);

// Worst deviation of the top 20 log probabilities along 8 prompts' first 8 output tokens.
double logprobs_deviation(const Model& model, const std::string& format);

// Deviations along one prompt, for each kind of value.
struct ActivationDeviations {
  double residual = 0.0;
  double attention = 0.0;
  double cache = 0.0;  // only where the backend is the reference
  double expert_weights = 0.0;
  double final_norm = 0.0;
  // Tokens whose experts differ: MoE layer * tokens of the prompt + token.
  std::vector<size_t> other_experts;
};
// `ops` is what `model` runs on.
ActivationDeviations activation_deviations(const Model& model, RecordingOps& ops,
                                           const std::string& format, bool check_cache,
                                           Deviation deviation = worst_deviation);

// Worst deviation of the MTP layer's values: eh_proj, the first step and two chained ones. Drafts
// that differ count as infinite.
double mtp_deviation(const Model& model, RecordingOps& ops, const std::string& format,
                     reference::Mistake mistake, Deviation deviation = worst_deviation);

// What differs from the greedy goldens along all 32 prompts.
struct GreedyDifferences {
  int tokens = 0;  // of the target, teacher-forced: none means the same continuation
  int drafts = 0;  // of three a token
  int tokens_total = 0;
};
GreedyDifferences greedy_differences(const Model& model, const std::string& format);

}  // namespace hadal::test
