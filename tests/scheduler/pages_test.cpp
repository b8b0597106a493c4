// DESIGN.md section 3, "Pages": reservation, what is published when, preemption.
#include "scheduler/harness.h"

namespace hadal::test {
namespace {

SchedulerOptions options_with(int drafts, int steps_in_flight, int pages) {
  SchedulerOptions options = small_options();
  options.drafts = options.drafts_max = drafts;
  options.steps_in_flight_max = steps_in_flight;
  options.pages_total = pages;
  options.batched_tokens_max = 512;
  return options;
}

int held(Harness& harness) {
  return static_cast<int>(harness.scheduler().stats().pages_held);
}

// "It reserves min(known length + Σ over the steps in flight of (1 + K) + max(K_max - 1, 0),
// prompt + max_tokens + 2·K_max)."
TEST(Reservation, IsTheUpperBoundOverTheStepsInFlight) {
  constexpr int kPrompt = 60, kMaxTokens = 200;
  for (const int drafts : {0, 1, 3, 7}) {
    for (const int depth : {1, 2, 3}) {
      Harness harness(options_with(drafts, depth, 65), {.acceptance = 0.5});
      const RequestId id = harness.add(kPrompt, kMaxTokens);
      const int look_ahead = std::max(drafts - 1, 0);
      int in_flight = 0, reserved = 0;  // decode steps of it in flight; positions ever reserved
      while (harness.output(id).ends == 0) {
        while (harness.scheduler().steps_in_flight() < depth) {
          const StepPlan* plan = harness.plan();
          if (plan == nullptr) break;
          const bool decode = plan->rows[0].kind == RowKind::kDecode;
          in_flight += decode ? 1 : 0;
          const auto output = static_cast<int>(harness.output(id).tokens.size());
          const int known = output == 0 ? kPrompt : kPrompt + output - 1;
          reserved = std::max(reserved, std::min(known + in_flight * (1 + drafts) + look_ahead,
                                                 kPrompt + kMaxTokens + 2 * drafts));
          EXPECT_EQ(held(harness), pages_for(reserved));
        }
        const bool first = harness.output(id).tokens.empty();
        harness.apply();
        if (!first) --in_flight;
      }
      harness.run();
    }
  }
}

// "prompt + max_tokens + 2·K_max larger than the whole pool → 400 at submit."
TEST(Reservation, WhatCanNeverFitIsRefusedWithBothNumbers) {
  SchedulerOptions options = options_with(3, 1, 5);  // 4 pages = 256 positions
  Harness harness(options);
  EXPECT_TRUE(harness.scheduler().check(harness.request(150, 100)).ok());
  const Status refused = harness.scheduler().check(harness.request(151, 100));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  EXPECT_NE(refused.error().message.find("251 tokens"), std::string::npos);
  EXPECT_NE(refused.error().message.find("5 pages"), std::string::npos);
  EXPECT_NE(refused.error().message.find("there are 4"), std::string::npos);
  harness.add(150, 100);
  harness.run();
  harness.expect_all_outputs_of_alone();
}

TEST(Reservation, TheContextLimitHoldsAtTheLimitAndOneAbove) {
  Harness harness(small_options());  // 1,000 tokens
  EXPECT_TRUE(harness.scheduler().check(harness.request(999, 1)).ok());
  EXPECT_EQ(harness.scheduler().check(harness.request(1000, 1)).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(harness.scheduler().check(harness.request(0, 1)).error().code,
            ErrorCode::kInvalidArgument);
}

// "A page is published once that token is known and the step that wrote it has been applied."
TEST(Publishing, WaitsForTheStepThatWroteThePage) {
  Harness harness(options_with(0, 2, 65));
  Request request = harness.request(100, 5);
  harness.add(request);
  ASSERT_NE(harness.plan(), nullptr);
  const RequestId early = harness.add(request);  // planned while the page is still being written
  const StepPlan* plan = harness.plan();
  ASSERT_EQ(plan->opens.size(), 1U);
  EXPECT_EQ(plan->opens[0].computed_tokens, 0);
  harness.apply();
  const RequestId late = harness.add(request);
  plan = harness.plan();
  ASSERT_EQ(plan->opens.size(), 1U);
  EXPECT_EQ(plan->opens[0].computed_tokens, 64);
  harness.run();
  harness.expect_all_outputs_of_alone();
  EXPECT_EQ(harness.output(early).end.usage.cached_tokens, 0);
  EXPECT_EQ(harness.output(late).end.usage.cached_tokens, 64);
}

// "At least one prompt token is always computed."
TEST(Publishing, APromptOfWholePagesComputesItsLastPage) {
  Harness harness(options_with(1, 1, 65));
  const Request request = harness.request(128, 3);
  harness.add(request);
  harness.run();
  harness.add(request);
  const StepPlan* plan = harness.plan();
  EXPECT_EQ(plan->opens[0].computed_tokens, 64);
  EXPECT_EQ(plan->rows[0].first_position, 64);
  harness.apply();
  harness.run();
  harness.expect_all_outputs_of_alone();
}

// A second turn of a conversation finds the first one's answer, drafts and all.
TEST(Publishing, CoversTheOutputUpToItsLastKnownToken) {
  Harness harness(options_with(3, 2, 65));
  const RequestId first = harness.add(100, 160);
  harness.run();
  Request next = harness.request_of(first);
  const std::vector<TokenId>& answer = harness.output(first).tokens;
  next.prompt.insert(next.prompt.end(), answer.begin(), answer.end());
  next.prompt.push_back(3);
  const RequestId second = harness.add(next);
  harness.run();
  harness.expect_output_of_alone(second);
  EXPECT_EQ(harness.output(second).end.usage.cached_tokens, (100 + 159) / 64 * 64);
}

TEST(Publishing, KeepsSaltsApart) {
  Harness harness(options_with(0, 1, 65));
  Request request = harness.request(100, 1);
  request.cache_salt = "a";
  harness.add(request);
  harness.run();
  request.cache_salt = "b";
  const RequestId other = harness.add(request);
  harness.run();
  EXPECT_EQ(harness.output(other).end.usage.cached_tokens, 0);
}

// Two sequences of 2 pages each fill a pool of 4; both need a third page at the same length.
class Preemption : public ::testing::Test {
 protected:
  static constexpr int kPromptTokens = 100;

  void fill(int steps_in_flight, int max_tokens_of_older = 100,
            int prompt_of_newer = kPromptTokens) {
    SchedulerOptions options = options_with(0, steps_in_flight, 5);
    options.prefix_cache = false;
    harness_.emplace(options);
    older_ = harness_->add(kPromptTokens, max_tokens_of_older);
    newer_ = harness_->add(prompt_of_newer, 100);
  }
  size_t produced(RequestId id) { return harness_->output(id).tokens.size(); }
  int64_t preemptions() { return harness_->scheduler().stats().preemptions; }

  std::optional<Harness> harness_;
  RequestId older_{}, newer_{};
};

// "Preemption (recompute, newest and lowest priority first)."
TEST_F(Preemption, TakesTheNewestAndRecomputesIt) {
  fill(1);
  while (preemptions() == 0) harness_->turn();
  EXPECT_EQ(harness_->scheduler().stats().running, 1);
  const size_t of_newer = produced(newer_);
  EXPECT_EQ(of_newer, 128U - kPromptTokens + 1);  // its two pages were full
  while (harness_->output(older_).ends == 0) {
    EXPECT_EQ(produced(newer_), of_newer);
    harness_->turn();
  }
  const StepPlan* plan = harness_->plan();
  ASSERT_EQ(plan->opens.size(), 1U);
  // "Opening any slot carries the prompt/output boundary, the remaining budget."
  EXPECT_EQ(plan->opens[0].prompt_tokens, kPromptTokens);
  EXPECT_EQ(plan->opens[0].tokens_left, 100 - static_cast<int>(of_newer));
  EXPECT_GT(raw(plan->opens[0].incarnation), 2U);  // a new one
  EXPECT_EQ(plan->tokens.size(), kPromptTokens + of_newer);
  harness_->apply();
  harness_->run();
  harness_->expect_all_outputs_of_alone();
}

// "Nothing is preempted while an in-flight result could free enough pages; the row is left out of
// the plan instead."
TEST_F(Preemption, WaitsForResultsInFlightThatCouldFreeThePages) {
  fill(2, /*max_tokens_of_older=*/100);
  while (produced(older_) < 27) harness_->turn();
  bool left_out = false;
  while (preemptions() == 0) {
    const bool planned = harness_->plan() != nullptr;
    if (preemptions() > 0) break;
    if (!planned || harness_->scheduler().steps_in_flight() == 2) harness_->apply();
    for (const Refusal& refusal : harness_->scheduler().refusals()) {
      left_out = left_out || refusal.reason == RefusalReason::kPagesInFlight;
    }
  }
  EXPECT_TRUE(left_out);
  harness_->run();
  harness_->expect_all_outputs_of_alone();
}

TEST_F(Preemption, IsAvoidedIfAResultInFlightFreesThePages) {
  fill(2, /*max_tokens_of_older=*/29);  // ends just before it needs a third page
  harness_->run();
  EXPECT_EQ(preemptions(), 0);
  harness_->expect_all_outputs_of_alone();
}

// "A preempted request re-enters only after every step that contains it has been applied; tokens of
// steps already in flight when it was preempted are appended and delivered as usual."
TEST_F(Preemption, LateTokensAreDeliveredAndReEntryWaitsForThem) {
  fill(3, 100, /*prompt_of_newer=*/80);  // it has room when the older one has none
  while (true) {
    const bool planned = harness_->plan() != nullptr;
    if (preemptions() > 0) break;
    if (!planned || harness_->scheduler().steps_in_flight() == 3) harness_->apply();
  }
  // The victim's pages are gone, but steps that contain it are in flight.
  ASSERT_GT(harness_->scheduler().steps_in_flight(), 1);
  const size_t before = produced(newer_);
  harness_->cancel(older_);  // now there is room for it
  harness_->apply();
  EXPECT_EQ(harness_->plan(), nullptr);
  EXPECT_EQ(harness_->scheduler().refusals().back().reason, RefusalReason::kStepsInFlight);
  while (harness_->scheduler().steps_in_flight() > 0) harness_->apply();
  EXPECT_GT(produced(newer_), before);
  const StepPlan* plan = harness_->plan();
  ASSERT_EQ(plan->opens.size(), 1U);
  EXPECT_EQ(plan->tokens.size(), 80 + produced(newer_));
  harness_->apply();
  harness_->run();
  harness_->expect_output_of_alone(newer_);
}

// Its last token is in flight when it loses its pages: it never needs them again.
TEST_F(Preemption, ASequenceMayEndWhileItIsPreempted) {
  int ended_while_preempted = 0;
  for (int max_tokens = 20; max_tokens < 48; ++max_tokens) {
    SchedulerOptions options = options_with(0, 3, 5);
    options.prefix_cache = false;
    harness_.emplace(options);
    int opens = 0;
    harness_->runner().set_observer(
        [&](const StepPlan& plan) { opens += static_cast<int>(plan.opens.size()); });
    harness_->add(kPromptTokens, 100);
    harness_->add(80, max_tokens);
    harness_->run();
    harness_->expect_all_outputs_of_alone();
    ended_while_preempted += opens == 2 ? static_cast<int>(preemptions()) : 0;
  }
  EXPECT_GT(ended_while_preempted, 0);
}

TEST_F(Preemption, OfASequenceThatIsCancelledMeanwhileLeavesNothing) {
  fill(2);
  while (preemptions() == 0) harness_->turn();
  harness_->cancel(newer_);
  harness_->run();
  EXPECT_EQ(harness_->output(newer_).end.reason, FinishReason::kCancelled);
  harness_->expect_output_of_alone(older_);
}

TEST_F(Preemption, FollowsPriorityBeforeAge) {
  SchedulerOptions options = options_with(0, 1, 5);
  options.prefix_cache = false;
  options.priorities = true;
  harness_.emplace(options);
  Request low = harness_->request(kPromptTokens, 100);
  low.priority = 5;
  const RequestId first_but_low = harness_->add(low);
  const RequestId second = harness_->add(kPromptTokens, 100);
  while (preemptions() == 0) harness_->turn();
  while (harness_->output(second).ends == 0) harness_->turn();
  EXPECT_EQ(harness_->output(first_but_low).ends, 0);
  harness_->run();
  harness_->expect_all_outputs_of_alone();
}

// F3.17: a pool of 8 pages, 64 requests.
TEST(Exhaustion, EveryRequestEndsWithItsOwnTokens) {
  for (const int depth : {1, 2}) {
    SchedulerOptions options = options_with(3, depth, 9);
    Harness harness(options, {.acceptance = 0.5});
    for (int i = 0; i < 64; ++i) harness.add(1 + 3 * i, 100);
    harness.run();
    harness.expect_all_outputs_of_alone();
    EXPECT_GT(harness.scheduler().stats().preemptions, 0);
  }
}

}  // namespace
}  // namespace hadal::test
