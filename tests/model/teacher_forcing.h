// How far one model's distributions are from another's along the gold completions of tests/eval.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/model/model.h"

namespace hadal::test {

struct ForcedSequence {
  std::vector<TokenId> ids;  // rendered prompt, gold completion, end of sentence
  size_t prompt_tokens = 0;
};

// Every `stride`-th item of every set.
std::vector<ForcedSequence> gold_completions(int stride);

struct Divergence {
  double kl_sum = 0.0;
  int64_t top1_changes = 0;
  int64_t tokens = 0;

  double kl_mean() const { return kl_sum / static_cast<double>(tokens); }
  double changes_in_10000() const {
    return 1e4 * static_cast<double>(top1_changes) / static_cast<double>(tokens);
  }
};

// KL(base || model) and changes of the most likely token for each of `models`, over the completion
// tokens of `sequences`.
std::vector<Divergence> divergences(const Model& base, const std::vector<const Model*>& models,
                                    const std::vector<ForcedSequence>& sequences);

}  // namespace hadal::test
