// The drafting loop by hand, over a SequenceRig, able to make the mistakes a loop can make.
#pragma once

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "reference/mistakes.h"
#include "reference/reference_ops.h"
#include "support/sequence_rig.h"

namespace hadal::test {

inline TokenId argmax(std::span<const float> logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

struct DraftStep {
  TokenId token_in = 0;
  std::vector<float> z;
  std::vector<float> logits;
  TokenId draft = 0;
};

// Drafts `count` tokens after `newest`, the token at position + 1, from the target's hidden state
// at `position`. Layer 61's cache below `position` must be written.
inline std::vector<DraftStep> draft_chain(SequenceRig& rig, TokenId newest, int position,
                                          std::span<const float> target_hidden, int count,
                                          reference::Mistake mistake) {
  using reference::Mistake;
  std::vector<DraftStep> steps;
  std::vector<float> hidden(target_hidden.begin(), target_hidden.end());
  for (int j = 0; j < count; ++j) {
    const TokenId token = j == 0 ? newest : steps.back().draft;
    const int at = mistake == Mistake::kChainPositionStands ? position : position + j;
    const SequenceRig::MtpRows rows = rig.mtp({&token, 1}, at, hidden);
    DraftStep step{.token_in = token, .z = rows.z, .logits = rig.logits(rows.z), .draft = 0};
    step.draft = argmax(step.logits);
    steps.push_back(std::move(step));
    if (mistake == Mistake::kChainPreNorm) {
      hidden = rows.v;
    } else if (mistake != Mistake::kChainTargetHidden) {
      hidden = rows.z;
    }
    if (mistake == Mistake::kChainForgetsItsCache && j > 0) {
      const ModelSpec& spec = rig.model().spec();
      float* entry =
          reference::ReferenceOps::cache_entry(rig.cache(), spec, spec.mtp_layer(), 0, at);
      std::fill_n(entry, spec.kv_dim(), 0.0F);
    }
  }
  return steps;
}

}  // namespace hadal::test
