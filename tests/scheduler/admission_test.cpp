// Who enters when, and why others do not.
#include "scheduler/harness.h"

namespace hadal::test {
namespace {

const Refusal* refusal_of(Harness& harness, RequestId id) {
  for (const Refusal& refusal : harness.scheduler().refusals()) {
    if (refusal.request == id) return &refusal;
  }
  return nullptr;
}

TEST(Admission, IsInOrderOfArrivalWithinTheTokenBudget) {
  SchedulerOptions options = small_options();
  options.batched_tokens_max = 20;
  Harness harness(options);
  const RequestId a = harness.add(12, 5), b = harness.add(12, 5), c = harness.add(2, 5);
  const StepPlan* plan = harness.plan();
  ASSERT_EQ(plan->opens.size(), 2U);
  EXPECT_EQ(plan->query_tokens(), 20);
  EXPECT_EQ(refusal_of(harness, a), nullptr);
  EXPECT_EQ(refusal_of(harness, b), nullptr);
  ASSERT_NE(refusal_of(harness, c), nullptr);
  EXPECT_EQ(refusal_of(harness, c)->reason, RefusalReason::kTokens);
  harness.apply();
  harness.run();
  harness.expect_all_outputs_of_alone();
}

TEST(Admission, ReservesForTheWholePromptOrWaitsWithAReason) {
  SchedulerOptions options = small_options();
  options.pages_total = 5;
  options.batched_tokens_max = 16;
  Harness harness(options);
  const RequestId large = harness.add(129, 10);  // 3 of 4 pages, though its first chunk needs one
  const RequestId next = harness.add(65, 10);
  const RequestId small = harness.add(5, 10);
  harness.plan();
  EXPECT_EQ(harness.scheduler().stats().pages_held, 3);
  harness.apply();
  while (harness.output(large).tokens.empty()) harness.turn();
  harness.plan();
  ASSERT_NE(refusal_of(harness, next), nullptr);
  EXPECT_EQ(refusal_of(harness, next)->reason, RefusalReason::kPages);
  EXPECT_EQ(refusal_of(harness, next)->wanted, 2);
  EXPECT_EQ(refusal_of(harness, next)->found, 1);
  // The small one would fit, but nothing overtakes the head of the queue.
  EXPECT_TRUE(harness.output(small).tokens.empty());
  EXPECT_EQ(describe(*refusal_of(harness, next)),
            "request 2 is not in this step: it wants 2 pages and 1 are free");
  harness.apply();
  harness.run();
  harness.expect_all_outputs_of_alone();
}

TEST(Admission, StopsAtTheLastSlot) {
  SchedulerOptions options = small_options();
  options.sequences_max = 3;
  Harness harness(options);
  for (int i = 0; i < 4; ++i) harness.add(5, 50);
  harness.turn();
  EXPECT_EQ(harness.scheduler().stats().running, 3);
  EXPECT_EQ(harness.scheduler().stats().queued, 1);
  EXPECT_EQ(harness.scheduler().stats().queued_tokens, 5);
  EXPECT_EQ(harness.scheduler().refusals().back().reason, RefusalReason::kSlots);
  harness.run();
  EXPECT_EQ(harness.scheduler().stats().queued, 0);
}

TEST(Admission, FollowsPriorityIfItIsOn) {
  for (const bool priorities : {false, true}) {
    SchedulerOptions options = small_options();
    options.sequences_max = 1;
    options.priorities = priorities;
    Harness harness(options);
    Request request = harness.request(5, 5);
    request.priority = 3;
    const RequestId first = harness.add(request);
    const RequestId urgent = harness.add(5, 5);
    harness.turn();
    EXPECT_EQ(harness.output(first).tokens.empty(), priorities);
    EXPECT_EQ(harness.output(urgent).tokens.empty(), !priorities);
    harness.run();
  }
}

TEST(Admission, UnderAConstantLoadOfSmallRequestsALargeOneIsServed) {
  SchedulerOptions options = small_options();
  options.pages_total = 9;
  options.prefix_cache = false;
  Harness harness(options);
  for (int i = 0; i < 8; ++i) harness.add(20, 30);
  const RequestId large = harness.add(400, 20);
  int turns = 0;
  while (harness.output(large).ends == 0) {
    harness.add(20, 30);
    harness.turn();
    ASSERT_LT(++turns, 150);
  }
  harness.run();
  harness.expect_all_outputs_of_alone();
}

// "Siblings are admitted once the first one's prefill has been applied or the first one has ended,
// whichever is earlier; they hit its published pages and compute the rest."
class Siblings : public ::testing::TestWithParam<int> {
 protected:
  // A leader of 150 prompt tokens and two siblings that differ in their noise only.
  void add_choices(Harness& harness) {
    Request request = harness.request(150, 20);
    request.sampling.temperature = 1;
    for (uint32_t choice = 0; choice < 3; ++choice) {
      request.sampling.choice = choice;
      request.leader = choice == 0 ? RequestId{} : ids_[0];
      ids_.push_back(harness.add(request));
    }
  }
  SchedulerOptions options() const {
    SchedulerOptions options = small_options();
    options.steps_in_flight_max = GetParam();
    return options;
  }
  std::vector<RequestId> ids_;
};

TEST_P(Siblings, ShareThePagesOfTheirPrompt) {
  Harness harness(options());
  add_choices(harness);
  const RequestId other = harness.add(5, 5);
  harness.plan();
  ASSERT_NE(refusal_of(harness, ids_[1]), nullptr);
  EXPECT_EQ(refusal_of(harness, ids_[1])->reason, RefusalReason::kLeader);
  EXPECT_EQ(describe(*refusal_of(harness, ids_[1])),
            "request 2 is not in this step: request 1 is still computing their prompt");
  harness.apply();
  while (harness.output(ids_[0]).tokens.empty()) {
    harness.plan();
    EXPECT_EQ(harness.scheduler().stats().running, 1);
    harness.apply();
  }
  harness.run();
  harness.expect_all_outputs_of_alone();
  EXPECT_NE(harness.output(ids_[1]).tokens, harness.output(ids_[2]).tokens);
  EXPECT_EQ(harness.output(ids_[1]).end.usage.cached_tokens, 128);
  EXPECT_EQ(harness.output(ids_[2]).end.usage.cached_tokens, 128);
  EXPECT_EQ(harness.output(other).ends, 1);
}

TEST_P(Siblings, DoNotWaitForALeaderThatHasEnded) {
  Harness harness(options());
  add_choices(harness);
  harness.turn();
  harness.cancel(ids_[0]);
  harness.run();
  harness.expect_output_of_alone(ids_[1]);
  harness.expect_output_of_alone(ids_[2]);
}

TEST_P(Siblings, DoNotWaitWithoutAPrefixCache) {
  SchedulerOptions no_cache = options();
  no_cache.prefix_cache = false;
  no_cache.batched_tokens_max = 512;
  Harness harness(no_cache);
  add_choices(harness);
  harness.plan();
  EXPECT_EQ(harness.scheduler().stats().running, 3);
  harness.apply();
  harness.run();
  harness.expect_all_outputs_of_alone();
}

INSTANTIATE_TEST_SUITE_P(SyncAndAsync, Siblings, ::testing::Values(1, 2));

TEST(Admission, ChunkedPromptsOfSeveralRequestsAdvanceOldestFirst) {
  SchedulerOptions options = small_options();
  options.batched_tokens_max = 16;
  Harness harness(options);
  const RequestId a = harness.add(40, 3), b = harness.add(40, 3);
  while (harness.output(b).tokens.empty()) harness.turn();
  EXPECT_EQ(harness.output(a).ends, 1);
  harness.run();
  harness.expect_all_outputs_of_alone();
}

}  // namespace
}  // namespace hadal::test
