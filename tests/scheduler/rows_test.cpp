// DESIGN.md section 3, "Rows" and "State".
#include "scheduler/harness.h"

namespace hadal::test {
namespace {

SchedulerOptions with_drafts(int drafts, int steps_in_flight = 1) {
  SchedulerOptions options = small_options();
  options.drafts = options.drafts_max = drafts;
  options.steps_in_flight_max = steps_in_flight;
  return options;
}

// "Every decode row always has 1+K query tokens, also in its first and last step; drafts are never
// trimmed near the end."
TEST(Rows, EveryDecodeRowHas1PlusKTokensAlsoInItsFirstAndLastStep) {
  Harness harness(with_drafts(3), {.acceptance = 1.0});
  const RequestId id = harness.add(10, 2);  // one token comes with the prompt, one is left
  harness.turn();
  const StepPlan* plan = harness.plan();
  ASSERT_NE(plan, nullptr);
  EXPECT_EQ(plan->query_tokens(), 4);
  EXPECT_EQ(plan->drafts, 3);
  harness.apply();
  harness.expect_output_of_alone(id);
  EXPECT_EQ(harness.output(id).end.reason, FinishReason::kLength);
}

// "A non-final prefill chunk carries one look-ahead token."
TEST(Rows, ANonFinalChunkCarriesTheTokenAfterIt) {
  SchedulerOptions options = small_options();
  options.batched_tokens_max = 10;
  Harness harness(options);
  const RequestId id = harness.add(25, 1);
  for (const int first : {0, 10, 20}) {
    const StepPlan* plan = harness.plan();
    ASSERT_EQ(plan->rows.size(), 1U);
    const PlanRow& row = plan->rows[0];
    EXPECT_EQ(row.kind, RowKind::kPrefill);
    EXPECT_EQ(row.first_position, first);
    const int tokens = first == 20 ? 5 : 10;
    EXPECT_EQ(row.tokens_end - row.tokens_begin, tokens);
    EXPECT_EQ(row.look_ahead,
              first == 20 ? kNoToken : harness.request_of(id).prompt[first + tokens]);
    EXPECT_EQ(row.samples(), first == 20);
    harness.apply();
  }
  harness.expect_output_of_alone(id);
}

TEST(Rows, AChunkThatFillsTheStepExactlyIsFinal) {
  SchedulerOptions options = small_options();
  options.batched_tokens_max = 10;
  Harness harness(options);
  harness.add(10, 1);
  EXPECT_EQ(harness.plan()->rows[0].look_ahead, kNoToken);
  harness.apply();
  harness.add(11, 1);
  EXPECT_NE(harness.plan()->rows[0].look_ahead, kNoToken);
  harness.apply();
  harness.run();
}

// "Mixed steps (prefill chunks beside decode rows)": decode rows first, then what is left of the
// budget.
TEST(Rows, PromptChunksUseWhatDecodeRowsLeave) {
  SchedulerOptions options = with_drafts(3);
  options.batched_tokens_max = 20;
  Harness harness(options);
  harness.add(4, 50);
  harness.add(4, 50);
  harness.turn();
  harness.add(30, 50);
  const StepPlan* plan = harness.plan();
  ASSERT_EQ(plan->rows.size(), 3U);
  EXPECT_EQ(plan->rows[0].kind, RowKind::kDecode);
  EXPECT_EQ(plan->rows[1].kind, RowKind::kDecode);
  EXPECT_EQ(plan->rows[2].kind, RowKind::kPrefill);
  EXPECT_EQ(plan->rows[2].tokens_end - plan->rows[2].tokens_begin, 12);
  EXPECT_EQ(plan->query_tokens(), 20);
  harness.apply();
  harness.run();
  harness.expect_all_outputs_of_alone();
}

// However many run, each has room for a row, so none starves behind older ones.
TEST(Rows, AtMostAsManySequencesRunAsAStepHasDecodeRowsFor) {
  for (const int tokens : {8, 11, 12}) {
    SchedulerOptions options = with_drafts(3);
    options.batched_tokens_max = tokens;
    Harness harness(options);
    for (int i = 0; i < 4; ++i) harness.add(2, 400);
    for (int i = 0; i < 10; ++i) harness.turn();
    EXPECT_EQ(harness.scheduler().stats().running, tokens / 4);
    EXPECT_EQ(harness.scheduler().refusals().back().reason, RefusalReason::kSlots);
  }
}

// "Synchronous scheduling keeps one step in flight, asynchronous two (a number, not a second code
// path)."
TEST(Rows, ADecodeRowIsPlannedBehindThePromptThatIsStillInFlight) {
  Harness harness(with_drafts(2, 2));
  harness.add(10, 50);
  ASSERT_NE(harness.plan(), nullptr);
  const StepPlan* second = harness.plan();
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->rows[0].kind, RowKind::kDecode);
  EXPECT_DEATH(harness.plan(), "2 steps are in flight");
}

// "It is written into a ring as deep as the steps in flight plus one and never written again until
// its step has completed."
TEST(Rows, APlanIsNotWrittenAgainUntilItsResultIsApplied) {
  Harness harness(with_drafts(1, 2));
  harness.add(10, 50);
  const StepPlan* first = harness.plan();
  const StepPlan* second = harness.plan();
  ASSERT_NE(first, second);
  EXPECT_EQ(first->step, 1U);
  EXPECT_EQ(second->step, 2U);
  harness.apply();
  const StepPlan* third = harness.plan();
  EXPECT_NE(third, second);
  EXPECT_NE(third, first);  // one deeper than the steps in flight
  EXPECT_EQ(second->step, 2U);
  harness.apply();
  EXPECT_EQ(harness.plan(), first);
}

// "A plan carries the full list of rows and, as deltas, only what the host changes."
TEST(Rows, DeltasAreToldOnce) {
  Harness harness(small_options());
  const RequestId id = harness.add(10, 3);
  const StepPlan* plan = harness.plan();
  EXPECT_EQ(plan->opens.size(), 1U);
  EXPECT_EQ(plan->grants.size(), 1U);
  EXPECT_EQ(plan->pages.size(), 1U);
  harness.apply();
  plan = harness.plan();
  EXPECT_TRUE(plan->opens.empty());
  EXPECT_TRUE(plan->grants.empty());
  EXPECT_TRUE(plan->closes.empty());
  harness.apply();
  harness.turn();
  ASSERT_EQ(harness.output(id).ends, 1);
  EXPECT_EQ(harness.plan(), nullptr) << "a plan with nothing to do is not submitted";
  harness.add(5, 1);
  EXPECT_EQ(harness.plan()->closes.size(), 1U);
}

// "Every row carries the incarnation id of its request; a result is resolved through the row table
// kept with its plan, never through whoever owns the slot now."
TEST(Rows, AResultGoesToTheRequestThatThePlanNamed) {
  SchedulerOptions options = with_drafts(1, 2);
  options.sequences_max = 1;  // both requests use the same slot
  Harness harness(options);
  const RequestId first = harness.add(10, 50);
  harness.turn();
  harness.plan();
  ASSERT_EQ(harness.scheduler().steps_in_flight(), 2);
  harness.cancel(first);
  const size_t delivered = harness.output(first).tokens.size();
  const RequestId second = harness.add(12, 20);
  harness.run();
  EXPECT_EQ(harness.output(first).tokens.size(), delivered);
  harness.expect_output_of_alone(second);
}

TEST(Rows, AResultOfAnotherIncarnationIsABug) {
  Scheduler scheduler(small_options());
  Request request;
  request.prompt = {1, 2, 3};
  scheduler.add(RequestId{1}, request);
  const StepPlan* plan = scheduler.plan();
  OutputEvents events;
  StepResult result{.step = 1, .rows = {{.incarnation = Incarnation{99}, .count = 1}}};
  EXPECT_DEATH(scheduler.apply(result, events), "a result of incarnation 99");
  result.rows[0].incarnation = plan->rows[0].incarnation;
  result.step = 2;
  EXPECT_DEATH(scheduler.apply(result, events), "a result of step 2, but 1 is the oldest");
  result.step = 1;
  result.rows[0].count = 2;
  EXPECT_DEATH(scheduler.apply(result, events), "2 tokens of a row with 0 drafts");
  result.rows[0].count = 0;
  EXPECT_DEATH(scheduler.apply(result, events), "0 tokens of a row");
  result.rows[0].count = 1;
  scheduler.apply(result, events);
  EXPECT_EQ(events.size(), 1U);
}

}  // namespace
}  // namespace hadal::test
