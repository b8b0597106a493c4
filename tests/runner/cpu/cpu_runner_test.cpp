#include "hadal/runner/cpu/cpu_runner.h"

#include <gtest/gtest.h>

#include "support/plan_driver.h"
#include "support/tiny_models.h"

namespace hadal {
namespace {

std::string refusal(const CpuRunnerOptions& options) {
  const auto runner = make_cpu_runner(test::open_tiny_r1("fp8"), options);
  return runner.ok() ? "accepted" : runner.error().message;
}

// tiny-r1: 64 tokens of 576 bf16 values in 5 layers.
constexpr int64_t kPageBytes = 64 * 576 * 2 * 5;

TEST(CpuRunner, ReportsItsSizes) {
  const auto runner = make_cpu_runner(
      test::open_tiny_r1("fp8"),
      {.slots = 3, .query_tokens_max = 100, .drafts_max = 3, .kv_bytes = 10 * kPageBytes + 1});
  ASSERT_TRUE(runner.ok()) << runner.error().message;
  const RunnerInfo& info = (*runner)->info();
  EXPECT_EQ(info.slots, 3);
  EXPECT_EQ(info.pages_total, 10);
  EXPECT_EQ(info.positions_max, 9 * 64);
  EXPECT_EQ(info.vocab_size, 2048);
  EXPECT_EQ(info.drafts_max, 3);
  EXPECT_EQ(info.query_tokens_max, 100);
  EXPECT_EQ((*runner)->memory().kv_bytes, 10 * kPageBytes);
  EXPECT_GT((*runner)->memory().weight_bytes, 20'000'000);
  EXPECT_EQ((*runner)->in_flight(), 0);
}

TEST(CpuRunner, PositionsFollowTheModelLengthPlusDrafts) {
  const auto runner = make_cpu_runner(test::open_tiny_r1("fp8"), {.slots = 1,
                                                                  .query_tokens_max = 16,
                                                                  .max_model_len = 500,
                                                                  .drafts_max = 2,
                                                                  .kv_bytes = 20 * kPageBytes});
  ASSERT_TRUE(runner.ok()) << runner.error().message;
  EXPECT_EQ((*runner)->info().positions_max, 504);
}

TEST(CpuRunner, RefusesWhatDoesNotFit) {
  const CpuRunnerOptions good = {
      .slots = 1, .query_tokens_max = 4, .drafts_max = 3, .kv_bytes = 2 * kPageBytes};
  EXPECT_EQ(refusal(good), "accepted");
  CpuRunnerOptions options = good;
  options.kv_bytes = 2 * kPageBytes - 1;
  EXPECT_EQ(refusal(options),
            "737279 bytes of KV cache hold 1 pages of 368640 bytes, wanted at least 2");
  options = good;
  options.drafts_max = kDraftsMax + 1;
  EXPECT_EQ(refusal(options), "8 drafts, wanted 0 to 7");
  options = good;
  options.query_tokens_max = 3;
  EXPECT_EQ(refusal(options), "3 tokens a step, wanted at least the 4 of one row with 3 drafts");
  options = good;
  options.slots = 0;
  EXPECT_EQ(refusal(options), "0 slots, wanted 1 or more");
  options = good;
  options.max_model_len = 163840;
  EXPECT_EQ(refusal(options), "accepted");
  options.max_model_len = 163841;
  EXPECT_EQ(refusal(options), "max_model_len 163841, wanted at most the model's 163840 positions");
}

// Short, for the sanitizers; cpu_runner_golden_test.cpp tells right tokens from wrong ones.
TEST(CpuRunner, GivesTheSameTokensAtDepthTwoWithDraftsAsPlainly) {
  const auto runner = make_cpu_runner(
      test::open_tiny_r1("fp8"),
      {.slots = 2, .query_tokens_max = 32, .drafts_max = 2, .kv_bytes = 10 * kPageBytes});
  ASSERT_TRUE(runner.ok()) << runner.error().message;
  test::PlanDriver driver(**runner);
  const test::DrivenSequence sequence{
      .prompt = {0, 1923, 52, 35, 46, 35, 52, 1924},
      .sampling = {.temperature = 0.0F, .max_tokens = 8, .ignore_eos = true},
      .chunk = 5};
  std::vector<test::DrivenSequence> plain(2, sequence);
  driver.run(plain, /*drafts=*/0, /*depth=*/1);
  std::vector<test::DrivenSequence> ahead(2, sequence);
  driver.run(ahead, /*drafts=*/2, /*depth=*/2);
  for (const auto& sequences : {plain, ahead}) {
    for (const test::DrivenSequence& found : sequences) {
      EXPECT_EQ(found.output.size(), 8U);
      EXPECT_EQ(found.output, plain[0].output);
      EXPECT_EQ(found.end, RowEnd::kLength);
    }
  }
}

}  // namespace
}  // namespace hadal
