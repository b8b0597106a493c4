// The CPU runner, driven by hand, against the greedy goldens: whatever the chunks, the drafts, the
// depth and the rows around a sequence, the same tokens.
#include <gtest/gtest.h>

#include <array>

#include "hadal/runner/cpu/cpu_runner.h"
#include "support/golden.h"
#include "support/plan_driver.h"
#include "support/tiny_models.h"

namespace hadal {
namespace {

struct GoldenCase {
  std::vector<TokenId> prompt;
  std::vector<TokenId> output;
  std::vector<std::array<TokenId, 3>> drafts;  // made when output[i] was the newest token
};

std::vector<GoldenCase> greedy_cases(const std::string& format) {
  const nlohmann::json golden = test::load_golden("greedy_" + format);
  std::vector<GoldenCase> cases;
  for (const nlohmann::json& item : golden.at("cases")) {
    cases.push_back({item.at("prompt_ids"), item.at("output_ids"), item.at("drafts")});
  }
  return cases;
}

struct DraftCounts {
  int proposed = 0;
  int accepted = 0;
};

// What verifying the golden drafts along the golden output counts; drafts behind the end are
// proposed as well.
DraftCounts golden_drafts(const GoldenCase& golden) {
  DraftCounts counts;
  for (size_t newest = 0; newest + 1 < golden.output.size(); ++newest) {
    counts.proposed += 3;
    for (const TokenId draft : golden.drafts[newest]) {
      if (newest + 1 == golden.output.size() || draft != golden.output[newest + 1]) break;
      ++counts.accepted;
      ++newest;
    }
  }
  return counts;
}

test::DrivenSequence driven(const GoldenCase& golden, int chunk = 0) {
  return {
      .prompt = golden.prompt, .sampling = {.temperature = 0.0F, .max_tokens = 64}, .chunk = chunk};
}

std::unique_ptr<CpuRunner> make_runner(const std::string& format, int drafts_max) {
  Result<std::unique_ptr<CpuRunner>> runner =
      make_cpu_runner(test::open_tiny_r1(format), {.slots = 32,
                                                   .query_tokens_max = 8192,
                                                   .drafts_max = drafts_max,
                                                   .kv_bytes = int64_t{100} << 20});
  HADAL_CHECK(runner.ok(), "{}", runner.error().message);
  return std::move(*runner);
}

class CpuRunnerGreedy : public testing::TestWithParam<std::string> {};

TEST_P(CpuRunnerGreedy, AllPromptsTogetherGiveTheGoldenContinuations) {
  const std::vector<GoldenCase> cases = greedy_cases(GetParam());
  ASSERT_EQ(cases.size(), 32U);
  const std::unique_ptr<CpuRunner> runner = make_runner(GetParam(), 3);
  test::PlanDriver driver(*runner);
  std::vector<test::DrivenSequence> sequences;
  for (const GoldenCase& golden : cases) sequences.push_back(driven(golden));
  driver.run(sequences, /*drafts=*/3, /*depth=*/1);
  DraftCounts found;
  DraftCounts wanted;
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(sequences[i].output, cases[i].output) << "prompt " << i;
    const bool whole = cases[i].output.back() == 1;
    EXPECT_EQ(sequences[i].end, whole ? RowEnd::kEos : RowEnd::kLength) << "prompt " << i;
    found.proposed += sequences[i].proposed;
    found.accepted += sequences[i].accepted;
    const DraftCounts golden = golden_drafts(cases[i]);
    wanted.proposed += golden.proposed;
    wanted.accepted += golden.accepted;
  }
  // The goldens guard the target's choices against near-ties, not the drafts'.
  EXPECT_NEAR(found.accepted, wanted.accepted, 0.01 * wanted.proposed);
  EXPECT_NEAR(found.proposed, wanted.proposed, 0.01 * wanted.proposed);
}

INSTANTIATE_TEST_SUITE_P(Formats, CpuRunnerGreedy, testing::Values("fp8", "bf16", "nvfp4"),
                         [](const testing::TestParamInfo<std::string>& format) {
                           return format.param;
                         });

// One sequence alone and unchunked, and then in every other way.
class CpuRunnerSameTokens : public testing::Test {
 protected:
  void expect_golden(const std::vector<test::DrivenSequence>& sequences, const std::string& what) {
    for (size_t i = 0; i < sequences.size(); ++i) {
      EXPECT_EQ(sequences[i].output, cases_[i].output) << what << ", prompt " << i;
    }
  }

  std::vector<GoldenCase> cases_ = greedy_cases("fp8");
};

TEST_F(CpuRunnerSameTokens, ForEveryNumberOfDraftsAndDepth) {
  cases_.resize(3);
  const std::unique_ptr<CpuRunner> runner = make_runner("fp8", 3);
  test::PlanDriver driver(*runner);
  for (const int drafts : {0, 1, 2, 3}) {
    for (const int depth : {1, 2}) {
      std::vector<test::DrivenSequence> sequences;
      for (const GoldenCase& golden : cases_) sequences.push_back(driven(golden));
      driver.run(sequences, drafts, depth);
      expect_golden(sequences, fmt::format("K {} depth {}", drafts, depth));
    }
  }
}

TEST_F(CpuRunnerSameTokens, WithoutAnMtpLayer) {
  cases_.resize(4);
  const std::unique_ptr<CpuRunner> runner = make_runner("fp8", 0);
  test::PlanDriver driver(*runner);
  std::vector<test::DrivenSequence> sequences;
  for (const GoldenCase& golden : cases_) sequences.push_back(driven(golden));
  driver.run(sequences, 0, 2);
  expect_golden(sequences, "no MTP layer");
}

TEST_F(CpuRunnerSameTokens, ForEveryChunkSize) {
  cases_.resize(2);
  const std::unique_ptr<CpuRunner> runner = make_runner("fp8", 3);
  test::PlanDriver driver(*runner);
  for (const int chunk : {1, 16, 64, 0}) {
    for (const int depth : {1, 2}) {
      std::vector<test::DrivenSequence> sequences;
      for (const GoldenCase& golden : cases_) sequences.push_back(driven(golden, chunk));
      driver.run(sequences, 3, depth);
      expect_golden(sequences, fmt::format("chunk {} depth {}", chunk, depth));
    }
  }
}

// Arrivals at different steps: prefill chunks beside decode rows.
TEST_F(CpuRunnerSameTokens, WhenSequencesArriveOneAfterAnother) {
  cases_.resize(8);
  const std::unique_ptr<CpuRunner> runner = make_runner("fp8", 3);
  test::PlanDriver driver(*runner);
  std::vector<test::DrivenSequence> sequences;
  for (const GoldenCase& golden : cases_) {
    sequences.push_back(driven(golden, 16));
    sequences.back().start_step = 3 * static_cast<int>(sequences.size() - 1);
  }
  driver.run(sequences, 3, 2);
  expect_golden(sequences, "staggered");
}

// Sampling depends on every bit of the logits: equal seeded streams are nearly equal bits.
TEST_F(CpuRunnerSameTokens, SampledStreamsDoNotDependOnTheRowsAroundThem) {
  const auto sampled = [&](size_t i) {
    test::DrivenSequence sequence = driven(cases_[i]);
    sequence.sampling.temperature = 1.5F;
    sequence.sampling.seed = 1000 + i;
    sequence.sampling.ignore_eos = true;
    return sequence;
  };
  const std::unique_ptr<CpuRunner> runner = make_runner("fp8", 3);
  test::PlanDriver driver(*runner);
  std::vector<test::DrivenSequence> alone = {sampled(0)};
  driver.run(alone, 0, 1);
  ASSERT_EQ(alone[0].output.size(), 64U);
  for (const int drafts : {0, 3}) {
    std::vector<test::DrivenSequence> among;
    for (size_t i = 0; i < 16; ++i) among.push_back(sampled(i));
    among[0].chunk = 16;
    driver.run(among, drafts, 2);
    EXPECT_EQ(among[0].output, alone[0].output) << "K " << drafts;
    EXPECT_NE(among[1].output, alone[0].output);
  }
}

}  // namespace
}  // namespace hadal
