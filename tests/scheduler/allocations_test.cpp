// Planning and applying steps does not allocate once sequences are admitted.
#include <gtest/gtest.h>

#include "hadal/scheduler/scheduler.h"
#include "scheduler/echo_results.h"
#include "support/count_allocations.h"

namespace hadal::test {
namespace {

TEST(Allocations, AStepMakesNone) {
  constexpr int kSequences = 64;
  Scheduler scheduler({.sequences_max = kSequences,
                       .batched_tokens_max = 1024,
                       .model_len_max = 4096,
                       .pages_total = 4097,
                       .drafts = 3,
                       .drafts_max = 3,
                       .steps_in_flight_max = 2});
  for (uint64_t id = 1; id <= kSequences; ++id) {
    Request request;
    request.prompt.assign(100, static_cast<TokenId>(id));
    request.sampling.max_tokens = 3000;
    scheduler.add(RequestId{id}, std::move(request));
  }
  EchoResults echo(kSequences);
  StepResult results[2];
  OutputEvents events;
  const auto step = [&](uint64_t number) {
    const StepPlan* plan = scheduler.plan();
    ASSERT_NE(plan, nullptr);
    echo.make(*plan, results[number % 2]);
    if (scheduler.steps_in_flight() < 2) return;
    scheduler.apply(results[(number + 1) % 2], events);
    events.clear();
  };
  for (uint64_t number = 1; number <= 50; ++number) step(number);
  const int64_t before = allocations();
  for (uint64_t number = 51; number <= 700; ++number) step(number);
  EXPECT_EQ(allocations() - before, 0);
  EXPECT_GT(scheduler.stats().pages_held, kSequences * 10);  // they did grow
}

}  // namespace
}  // namespace hadal::test
