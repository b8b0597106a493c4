// Every mistake of the model card, planted, must be far from at least one golden: what says that
// the goldens would notice it in an implementation.
#include <gtest/gtest.h>

#include "model/golden_checks.h"
#include "reference/reference_ops.h"
#include "support/tolerance.h"

namespace hadal {
namespace {

using reference::Mistake;

// A mistake must stand out from rounding, not just exceed it.
constexpr double kFar = 10 * test::kReferenceTolerance;

struct Case {
  Mistake mistake;
  const char* name;
};

std::string name_of(const testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

class MainModelMistake : public testing::TestWithParam<Case> {};

TEST_P(MainModelMistake, FailsTheLogitsGoldens) {
  reference::ReferenceOps ops(GetParam().mistake);
  const Model model = test::load_tiny_r1("fp8", ops);
  EXPECT_GT(test::logits_deviation(model, "fp8", 4), kFar);
}

INSTANTIATE_TEST_SUITE_P(
    All, MainModelMistake,
    testing::Values(Case{Mistake::kSoftmaxScaleWithoutYarn, "SoftmaxScaleWithoutYarn"},
                    Case{Mistake::kHalfSplitRope, "HalfSplitRope"},
                    Case{Mistake::kPlainRopeFrequencies, "PlainRopeFrequencies"},
                    Case{Mistake::kScalingFactorOne, "ScalingFactorOne"},
                    Case{Mistake::kWeightsNotNormalised, "WeightsNotNormalised"},
                    Case{Mistake::kWeightsFromBiasedScores, "WeightsFromBiasedScores"},
                    Case{Mistake::kNoGroupLimit, "NoGroupLimit"},
                    Case{Mistake::kBiasIgnored, "BiasIgnored"},
                    Case{Mistake::kOneExpertFewer, "OneExpertFewer"},
                    Case{Mistake::kSharedExpertScaled, "SharedExpertScaled"}),
    name_of);

class DraftMistake : public testing::TestWithParam<Case> {};

TEST_P(DraftMistake, FailsTheMtpActivationGoldens) {
  reference::ReferenceOps reference(GetParam().mistake);
  test::RecordingOps ops(reference);
  const Model model = test::load_tiny_r1("fp8", ops);
  EXPECT_GT(test::mtp_deviation(model, ops, "fp8", GetParam().mistake), kFar);
}

INSTANTIATE_TEST_SUITE_P(
    All, DraftMistake,
    testing::Values(Case{Mistake::kHiddenFirstInEhProj, "HiddenFirstInEhProj"},
                    Case{Mistake::kChainPreNorm, "ChainPreNorm"},
                    Case{Mistake::kChainTargetHidden, "ChainTargetHidden"},
                    Case{Mistake::kChainPositionStands, "ChainPositionStands"},
                    Case{Mistake::kChainForgetsItsCache, "ChainForgetsItsCache"},
                    Case{Mistake::kTargetHiddenBeforeFinalNorm, "TargetHiddenBeforeFinalNorm"}),
    name_of);

}  // namespace
}  // namespace hadal
