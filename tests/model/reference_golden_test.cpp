// The plain fp32 implementation, through the one forward pass, against the goldens of all formats.
#include <gtest/gtest.h>

#include <string>

#include "model/golden_checks.h"
#include "reference/reference_ops.h"
#include "support/tolerance.h"

namespace hadal {
namespace {

std::string format_name(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

class ReferenceGolden : public testing::TestWithParam<std::string> {
 protected:
  reference::ReferenceOps reference_;
  test::RecordingOps ops_{reference_};
  Model model_ = test::load_tiny_r1(GetParam(), ops_);
};

TEST_P(ReferenceGolden, Logits) {
  EXPECT_LE(test::logits_deviation(model_, GetParam(), 16), test::kReferenceTolerance);
}

TEST_P(ReferenceGolden, LogProbabilities) {
  EXPECT_LE(test::logprobs_deviation(model_, GetParam()), test::kReferenceTolerance);
}

TEST_P(ReferenceGolden, GreedyContinuationsAndDrafts) {
  const test::GreedyDifferences differences = test::greedy_differences(model_, GetParam());
  EXPECT_EQ(differences.tokens, 0);
  EXPECT_EQ(differences.drafts, 0);
  EXPECT_GT(differences.tokens_total, 1300);
}

INSTANTIATE_TEST_SUITE_P(Formats, ReferenceGolden, testing::Values("fp8", "bf16", "nvfp4"),
                         format_name);

class ReferenceActivationGolden : public ReferenceGolden {};

TEST_P(ReferenceActivationGolden, EveryLayer) {
  const test::ActivationDeviations found =
      test::activation_deviations(model_, ops_, GetParam(), /*check_cache=*/true);
  EXPECT_TRUE(found.other_experts.empty());
  EXPECT_LE(found.residual, test::kReferenceTolerance);
  EXPECT_LE(found.attention, test::kReferenceTolerance);
  EXPECT_LE(found.cache, test::kReferenceTolerance);
  EXPECT_LE(found.expert_weights, test::kReferenceTolerance);
  EXPECT_LE(found.final_norm, test::kReferenceTolerance);
}

TEST_P(ReferenceActivationGolden, MtpLayerAndChain) {
  EXPECT_LE(test::mtp_deviation(model_, ops_, GetParam(), reference::Mistake::kNone),
            test::kReferenceTolerance);
}

INSTANTIATE_TEST_SUITE_P(Formats, ReferenceActivationGolden, testing::Values("fp8", "bf16"),
                         format_name);

}  // namespace
}  // namespace hadal
