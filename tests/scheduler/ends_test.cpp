// DESIGN.md section 3, "Ends": how requests end, and how drafts are counted.
#include <numeric>

#include "scheduler/harness.h"

namespace hadal::test {
namespace {

SchedulerOptions options_with(int drafts, int steps_in_flight) {
  SchedulerOptions options = small_options();
  options.drafts = options.drafts_max = drafts;
  options.steps_in_flight_max = steps_in_flight;
  return options;
}

// "A slot that an in-flight step must finish anyway (max_tokens reached even if every draft is
// rejected) is not scheduled again."
TEST(Ends, ASlotThatAStepInFlightMustFinishIsNotScheduledAgain) {
  Harness harness(options_with(3, 2));
  harness.add(10, 1);
  ASSERT_NE(harness.plan(), nullptr);
  EXPECT_EQ(harness.plan(), nullptr);
  ASSERT_EQ(harness.scheduler().refusals().size(), 1U);
  EXPECT_EQ(harness.scheduler().refusals()[0].reason, RefusalReason::kEndsInFlight);
  harness.apply();
  harness.run();
  EXPECT_EQ(harness.runner().inert_rows(), 0);
}

// "The row is inert from the next step on": the step behind the end is planned before it is known.
TEST(Ends, ARowBehindAnEndOnTheDeviceIsInert) {
  Harness harness(options_with(0, 2), {.eos_period = 20});
  for (int i = 0; i < 8; ++i) harness.add(10 + i, 500);
  harness.run();
  harness.expect_all_outputs_of_alone();
  EXPECT_GT(harness.runner().inert_rows(), 0);
}

TEST(Ends, ReasonsAndUsage) {
  Harness harness(options_with(0, 1), {.eos_period = 30});
  const RequestId eos = harness.add(10, 900);
  Request request = harness.request(10, 20);
  request.sampling.ignore_eos = true;
  const RequestId length = harness.add(request);
  request = harness.request(10, 900);
  request.sampling.ignore_eos = true;
  request.sampling.stop_token_ids = {harness.model().output_of(request)[5]};
  const RequestId stop_token = harness.add(request);
  harness.run();
  harness.expect_all_outputs_of_alone();
  EXPECT_EQ(harness.output(eos).end.reason, FinishReason::kStop);
  EXPECT_EQ(harness.output(eos).end.stop_token, 1);
  EXPECT_EQ(harness.output(length).end.reason, FinishReason::kLength);
  EXPECT_EQ(harness.output(length).end.stop_token, kNoToken);
  EXPECT_EQ(harness.output(length).end.usage.completion_tokens, 20);
  EXPECT_EQ(harness.output(stop_token).end.reason, FinishReason::kStop);
  EXPECT_EQ(harness.output(stop_token).end.stop_token, request.sampling.stop_token_ids[0]);
}

// "Stop strings and cancels stop from the host; the extra tokens are dropped and usage counts
// through the matching token."
TEST(Ends, FinishDropsTheTokensBehindIt) {
  Harness harness(options_with(3, 2), {.acceptance = 1.0});
  const RequestId id = harness.add(10, 100);
  while (harness.output(id).tokens.size() < 20) harness.turn();
  harness.finish_at(id, 15);
  EXPECT_EQ(harness.output(id).end.reason, FinishReason::kStop);
  EXPECT_EQ(harness.output(id).end.stop_token, kNoToken);
  EXPECT_EQ(harness.output(id).end.usage.completion_tokens, 15);
  harness.run();
}

TEST(Ends, FinishAtALaterTokenWaitsForIt) {
  Harness harness(options_with(3, 2), {.acceptance = 1.0});
  const RequestId id = harness.add(10, 100);
  while (harness.output(id).tokens.size() < 20) harness.turn();
  harness.finish_at(id, 31);
  harness.finish_at(id, 50);  // the earlier one decides
  EXPECT_EQ(harness.output(id).ends, 0);
  harness.run();
  EXPECT_EQ(harness.output(id).tokens.size(), 31U);
  EXPECT_EQ(harness.output(id).end.usage.completion_tokens, 31);
  EXPECT_EQ(harness.output(id).end.reason, FinishReason::kStop);
}

// "If a stop string matches at or before the token where the device ended the row, the stop string
// decides the finish reason."
TEST(Ends, FinishAtTheTokenOfTheDeviceDecidesTheReason) {
  Harness harness(options_with(0, 2));
  const RequestId id = harness.add(10, 8);
  harness.turn();
  harness.finish_at(id, 8);
  harness.run();
  EXPECT_EQ(harness.output(id).tokens.size(), 8U);
  EXPECT_EQ(harness.output(id).end.reason, FinishReason::kStop);
}

TEST(Ends, FinishAndCancelAfterTheEndHaveNoEffect) {
  Harness harness(options_with(0, 1));
  const RequestId id = harness.add(10, 3);
  harness.run();
  harness.finish_at(id, 1);
  harness.cancel(id);
  harness.cancel(RequestId{77});
  EXPECT_EQ(harness.output(id).ends, 1);
}

// A cancel leaves nothing behind, in whatever phase it comes.
TEST(Ends, CancelInEveryPhaseFreesEverything) {
  for (const int depth : {1, 2}) {
    for (int turns = 0; turns < 12; ++turns) {
      SchedulerOptions options = options_with(2, depth);
      options.batched_tokens_max = 16;  // the prompt takes several chunks
      Harness harness(options);
      const RequestId id = harness.add(50, 100);
      const RequestId other = harness.add(70, 30);
      for (int i = 0; i < turns; ++i) harness.turn();
      if (turns % 2 == 1) harness.plan();  // cancelled with a step in flight
      harness.cancel(id);
      EXPECT_EQ(harness.output(id).ends, 1);
      EXPECT_EQ(harness.output(id).end.reason, FinishReason::kCancelled);
      harness.run();
      harness.expect_output_of_alone(other);
    }
  }
}

// "A row whose logits are not finite ends with an error; the others go on."
TEST(Ends, ARowThatIsNotFiniteEndsAlone) {
  Harness harness(options_with(3, 2));
  const RequestId sick = harness.add(10, 50);
  const RequestId well = harness.add(10, 50);
  harness.turn();
  harness.runner().poison(Incarnation{1});
  harness.run();
  EXPECT_EQ(harness.output(sick).end.reason, FinishReason::kError);
  EXPECT_EQ(harness.output(sick).end.error.message, "the model's logits are not finite");
  harness.expect_output_of_alone(well);
}

TEST(Ends, FailAllEndsEveryRequestOnce) {
  Scheduler scheduler(small_options());
  OutputEvents events;
  for (uint64_t id = 1; id <= 20; ++id) {
    Request request;
    request.prompt = {1, 2, 3};
    scheduler.add(RequestId{id}, request);
  }
  ASSERT_NE(scheduler.plan(), nullptr);
  scheduler.fail_all({ErrorCode::kDevice, "gone"}, events);
  EXPECT_EQ(events.size(), 20U);
  for (const OutputEvent& event : events) {
    EXPECT_TRUE(event.end);
    EXPECT_EQ(event.error.message, "gone");
  }
  EXPECT_TRUE(scheduler.idle());
  scheduler.check_invariants();
}

int64_t sum(const std::array<int64_t, kDraftsMax>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

// "Draft j of a step counts as proposed unless it lies behind the request's last delivered token."
TEST(DraftCounts, DraftsBehindTheLastTokenDoNotCount) {
  // Every draft is right: tokens come as 1 (prompt), 4, 4, …
  for (int max_tokens = 1; max_tokens <= 9; ++max_tokens) {
    Harness harness(options_with(3, 1), {.acceptance = 1.0});
    harness.add(10, max_tokens);
    harness.run();
    const DraftCounts counts = harness.scheduler().stats().drafts;
    const int verified = max_tokens - 1;  // tokens that came with drafts
    EXPECT_EQ(counts.verifications, (verified + 3) / 4);
    for (int j = 0; j < 3; ++j) {
      EXPECT_EQ(counts.proposed[j], (verified + 3 - j) / 4) << max_tokens << " draft " << j + 1;
      EXPECT_EQ(counts.accepted[j], counts.proposed[j]);
    }
  }
}

TEST(DraftCounts, RejectedDraftsCountWhileTheirTokensAreDelivered) {
  // Every draft is wrong: one token a step; draft j is for the token j places on.
  Harness harness(options_with(3, 1), {.acceptance = 0.0});
  harness.add(10, 6);  // 5 verifying steps, at output tokens 1 … 5
  harness.run();
  const DraftCounts counts = harness.scheduler().stats().drafts;
  EXPECT_EQ(counts.verifications, 5);
  EXPECT_EQ(counts.proposed[0], 5);
  EXPECT_EQ(counts.proposed[1], 4);
  EXPECT_EQ(counts.proposed[2], 3);
  EXPECT_EQ(sum(counts.accepted), 0);
}

TEST(DraftCounts, AreClippedAtFinish) {
  for (const int count : {2, 5, 6, 7}) {
    Harness harness(options_with(3, 2), {.acceptance = 1.0});
    const RequestId id = harness.add(10, 100);
    while (harness.output(id).tokens.size() < 20) harness.turn();
    harness.finish_at(id, count);
    harness.run();
    int expected = 0;  // drafts of the steps at output tokens 1, 5, 9 … up to the last token
    for (int first = 1; first < count; first += 4) expected += std::min(3, count - first);
    EXPECT_EQ(sum(harness.scheduler().stats().drafts.proposed), expected) << count;
    EXPECT_EQ(sum(harness.scheduler().stats().drafts.accepted), expected) << count;
  }
}

// The counters are the same whether steps overlap or not.
TEST(DraftCounts, AreTheSameSyncAndAsync) {
  std::vector<DraftCounts> all;
  for (const int depth : {1, 2, 3}) {
    Harness harness(options_with(3, depth), {.acceptance = 0.7, .eos_period = 60});
    for (int i = 0; i < 20; ++i) harness.add(5 + i, 10 + 5 * i);
    harness.run();
    harness.expect_all_outputs_of_alone();
    all.push_back(harness.scheduler().stats().drafts);
  }
  for (const DraftCounts& counts : all) {
    EXPECT_EQ(counts.verifications, all[0].verifications);
    EXPECT_EQ(counts.proposed, all[0].proposed);
    EXPECT_EQ(counts.accepted, all[0].accepted);
    EXPECT_GT(sum(counts.accepted), 0);
  }
}

}  // namespace
}  // namespace hadal::test
