// The fake runner is a judge of plans: each mistake it is there to find is made here.
#include "support/fake_runner.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace hadal::test {
namespace {

constexpr SlotId kSlot{0};
constexpr Incarnation kSequence{1};

// A plan that opens slot 0 and computes a prompt of `tokens` tokens in `pages`.
StepPlan prompt_plan(int tokens, std::vector<PageId> pages, int drafts = 0) {
  StepPlan plan{.step = 1, .drafts = drafts};
  SamplingParams greedy;
  greedy.temperature = 0;
  greedy.ignore_eos = true;
  plan.opens.push_back({.slot = kSlot,
                        .incarnation = kSequence,
                        .prompt_tokens = tokens,
                        .tokens_left = 100,
                        .sampling = greedy});
  plan.grants.push_back({.slot = kSlot, .pages_end = static_cast<int32_t>(pages.size())});
  plan.pages = std::move(pages);
  for (TokenId token = 0; token < tokens; ++token) plan.tokens.push_back(token);
  plan.rows.push_back(
      {.kind = RowKind::kPrefill, .slot = kSlot, .incarnation = kSequence, .tokens_end = tokens});
  return plan;
}

StepPlan decode_plan(uint64_t step, int drafts = 0) {
  StepPlan plan{.step = step, .drafts = drafts};
  plan.rows.push_back({.kind = RowKind::kDecode, .slot = kSlot, .incarnation = kSequence});
  return plan;
}

class FakeRunnerTest : public ::testing::Test {
 protected:
  RowResult run(const StepPlan& plan) {
    runner_.submit(plan);
    StepResult result;
    EXPECT_TRUE(*runner_.poll(result));
    return result.rows.at(0);
  }
  // The message of what the runner throws at this plan.
  std::string complaint(const StepPlan& plan) {
    try {
      run(plan);
    } catch (const std::logic_error& error) {
      return error.what();
    }
    return "none";
  }

  FakeRunner runner_{FakeRunnerOptions{.model = {.acceptance = 1.0}}};
};

TEST_F(FakeRunnerTest, ProducesTheTokensOfItsModel) {
  Request request;
  request.prompt = prompt_plan(10, {}).tokens;
  request.sampling.temperature = 0;
  request.sampling.ignore_eos = true;
  request.sampling.max_tokens = 5;
  const std::vector<TokenId> expected = FakeModel{}.output_of(request);
  const RowResult first = run(prompt_plan(10, {PageId{1}}, 3));
  ASSERT_EQ(first.count, 1);
  EXPECT_EQ(first.tokens[0], expected[0]);
  EXPECT_EQ(first.proposed, 0);
  const RowResult next = run(decode_plan(2, 3));
  ASSERT_EQ(next.count, 4);
  EXPECT_EQ(next.proposed, 3);
  EXPECT_EQ(next.accepted, 3);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(next.tokens[i], expected[i + 1]);
}

TEST_F(FakeRunnerTest, MissingDraftsAreNeitherProposedNorAccepted) {
  run(prompt_plan(10, {PageId{1}}, 1));
  const RowResult more = run(decode_plan(2, 3));
  EXPECT_EQ(more.proposed, 1);
  EXPECT_EQ(more.accepted, 1);
  EXPECT_EQ(more.count, 2);
}

TEST_F(FakeRunnerTest, FindsAPlanThatIsRewrittenInFlight) {
  StepPlan plan = prompt_plan(10, {PageId{1}});
  runner_.submit(plan);
  plan.tokens[3] = 99;
  StepResult result;
  EXPECT_THROW(static_cast<void>(runner_.poll(result)), std::logic_error);
}

TEST_F(FakeRunnerTest, FindsTwoRowsOfASlot) {
  run(prompt_plan(10, {PageId{1}}));
  StepPlan plan = decode_plan(2);
  plan.rows.push_back(plan.rows[0]);
  EXPECT_EQ(complaint(plan).substr(0, 2), "P2");
}

TEST_F(FakeRunnerTest, FindsARowOfAnotherIncarnation) {
  run(prompt_plan(10, {PageId{1}}));
  StepPlan plan = decode_plan(2);
  plan.rows[0].incarnation = Incarnation{2};
  EXPECT_EQ(complaint(plan).substr(0, 2), "P3");
}

TEST_F(FakeRunnerTest, FindsAWriteBeyondThePages) {
  EXPECT_EQ(complaint(prompt_plan(65, {PageId{1}})).substr(0, 2), "P4");
}

TEST_F(FakeRunnerTest, FindsADraftChainBeyondThePages) {
  // Positions 0 … 59 of the prompt, 60 … 63 verified, 64 and 65 by the chain.
  run(prompt_plan(60, {PageId{1}}, 3));
  EXPECT_EQ(complaint(decode_plan(2, 3)).substr(0, 2), "P4");
}

TEST_F(FakeRunnerTest, FindsTheTrashPageAmongGrants) {
  EXPECT_NE(complaint(prompt_plan(10, {kTrashPage})).find("trash page"), std::string::npos);
}

TEST_F(FakeRunnerTest, FindsAGapBetweenChunks) {
  StepPlan first = prompt_plan(10, {PageId{1}});
  first.rows[0].look_ahead = 10;
  run(first);
  StepPlan second{.step = 2};
  second.tokens = {11, 12};
  second.rows.push_back({.kind = RowKind::kPrefill,
                         .slot = kSlot,
                         .incarnation = kSequence,
                         .first_position = 11,
                         .tokens_end = 2});
  EXPECT_NE(complaint(second).find("a chunk at position 11"), std::string::npos);
}

TEST_F(FakeRunnerTest, FindsAWrongLookAhead) {
  StepPlan first = prompt_plan(10, {PageId{1}});
  first.rows[0].look_ahead = 77;
  run(first);
  StepPlan second{.step = 2};
  second.tokens = {10};
  second.rows.push_back({.kind = RowKind::kPrefill,
                         .slot = kSlot,
                         .incarnation = kSequence,
                         .first_position = 10,
                         .tokens_end = 1});
  EXPECT_NE(complaint(second).find("another next token"), std::string::npos);
}

// Two sequences that own one page: the second one's tokens overwrite the first one's.
TEST_F(FakeRunnerTest, FindsAPageThatHasTwoWriters) {
  run(prompt_plan(10, {PageId{1}}));
  StepPlan thief = prompt_plan(12, {PageId{1}});
  thief.step = 2;
  thief.opens[0].slot = thief.grants[0].slot = thief.rows[0].slot = SlotId{1};
  thief.opens[0].incarnation = thief.rows[0].incarnation = Incarnation{2};
  thief.tokens[0] = 500;
  run(thief);
  EXPECT_NE(complaint(decode_plan(3)).find("what it did not write"), std::string::npos);
}

TEST_F(FakeRunnerTest, FindsAFoundPrefixThatWasNeverWritten) {
  StepPlan plan = prompt_plan(10, {PageId{1}, PageId{2}});
  plan.opens[0].computed_tokens = 64;
  plan.rows[0].first_position = 64;
  EXPECT_NE(complaint(plan).find("of a found prefix is empty"), std::string::npos);
}

}  // namespace
}  // namespace hadal::test
