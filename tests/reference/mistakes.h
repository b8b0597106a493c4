// Mistakes that an implementation of the architecture can make, and that tests plant to see that
// the goldens notice. They are those of the model card (tests/models/tiny-r1), "What mistakes it
// detects" and "Not visible".
#pragma once

#include <cstdint>

namespace hadal::reference {

enum class Mistake : uint8_t {
  kNone,
  // In the operations; ReferenceOps makes them.
  kSoftmaxScaleWithoutYarn,
  kHalfSplitRope,
  kPlainRopeFrequencies,
  kScalingFactorOne,
  kWeightsNotNormalised,
  kWeightsFromBiasedScores,
  kNoGroupLimit,
  kBiasIgnored,
  kOneExpertFewer,
  kSharedExpertScaled,
  kHiddenFirstInEhProj,
  // In the drafting loop; the tests' own loop (support/draft_chain.h) makes them.
  kChainPreNorm,
  kChainTargetHidden,
  kChainPositionStands,
  kChainForgetsItsCache,
  kTargetHiddenBeforeFinalNorm,
};

}  // namespace hadal::reference
