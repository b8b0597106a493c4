// The loop's decisions, on one thread and a clock that the test moves.
#include "engine/engine_core.h"

#include <gtest/gtest.h>

#include "engine/collecting_sink.h"
#include "support/fake_clock.h"
#include "support/fake_runner.h"

namespace hadal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class EngineCoreTest : public ::testing::Test {
 protected:
  void make(int steps_in_flight, int drafts = 0) {
    make(EngineOptions{
        .drafts = drafts, .steps_in_flight_max = steps_in_flight, .watchdog = seconds(5)});
  }
  void make(const EngineOptions& options) {
    FakeRunnerOptions runner_options;
    runner_options.clock = &clock_;
    runner_options.duration = [](const StepPlan&) { return milliseconds(20); };
    runner_.emplace(runner_options);
    core_.emplace(options, *runner_, sink_, clock_);
  }
  RequestId add(int prompt_tokens, int max_tokens, int priority = 0) {
    Request request;
    request.priority = priority;
    request.prompt.resize(prompt_tokens, 7);
    request.sampling.max_tokens = max_tokens;
    request.sampling.ignore_eos = true;
    const RequestId id{++last_id_};
    core_->add(id, request);
    return id;
  }
  // Goes on to the next moment at which the loop would wake.
  void next() {
    TimePoint wake = *core_->deadline();
    if (runner_->next_finish()) wake = std::min(wake, *runner_->next_finish());
    clock_.advance_to(wake);
    ASSERT_TRUE(core_->turn().ok());
  }

  FakeClock clock_;
  CollectingSink sink_;
  std::optional<FakeRunner> runner_;
  std::optional<EngineCore> core_;
  uint64_t last_id_ = 0;
};

TEST_F(EngineCoreTest, HasNoDeadlineWhenIdle) {
  make(1);
  ASSERT_TRUE(core_->turn().ok());
  EXPECT_EQ(core_->deadline(), std::nullopt);
}

TEST_F(EngineCoreTest, TheDeadlineOfASynchronousStepIsTheWatchdog) {
  make(1);
  add(5, 3);
  ASSERT_TRUE(core_->turn().ok());
  EXPECT_EQ(core_->deadline(), clock_.now() + seconds(5));
}

// "`deadline` is the earlier of the watchdog and the pacer's next time."
TEST_F(EngineCoreTest, OnceStepTimesAreKnownTheNextStepGoesJustBeforeTheEnd) {
  make(2);
  add(5, 100);
  ASSERT_TRUE(core_->turn().ok());
  for (int i = 0; i < 20; ++i) next();
  // Host time is 0 on this clock, so the next step goes at the predicted end.
  ASSERT_EQ(runner_->in_flight(), 1);
  EXPECT_EQ(*core_->deadline(), *runner_->next_finish());
}

// An arrival enters the step behind the one in flight, not one later.
TEST_F(EngineCoreTest, AnArrivalWaitsForOneStepInAsynchronousModeToo) {
  for (const int depth : {1, 2}) {
    make(depth);
    add(5, 100);
    ASSERT_TRUE(core_->turn().ok());
    for (int i = 0; i < 20; ++i) next();
    clock_.advance(milliseconds(7));
    const TimePoint arrival = clock_.now();
    const RequestId late = add(5, 1);
    ASSERT_TRUE(core_->turn().ok());
    while (sink_.output(late).ends == 0) next();
    EXPECT_LE(clock_.now() - arrival, milliseconds(20 - 7 + 20)) << depth;
  }
}

TEST_F(EngineCoreTest, TheWatchdogTripsWhenNoStepFinishes) {
  make(2);
  add(5, 100);
  ASSERT_TRUE(core_->turn().ok());
  runner_->hang();
  clock_.advance(seconds(5) - Duration{1});
  EXPECT_TRUE(core_->turn().ok());
  clock_.advance(Duration{1});
  const Status turned = core_->turn();
  ASSERT_FALSE(turned.ok());
  EXPECT_EQ(turned.error().code, ErrorCode::kDevice);
  EXPECT_NE(turned.error().message.find("no step has finished for 5000 ms"), std::string::npos);
}

TEST_F(EngineCoreTest, TheWatchdogDoesNotCountIdleTime) {
  make(1);
  add(5, 1);
  ASSERT_TRUE(core_->turn().ok());
  next();
  EXPECT_TRUE(core_->idle());
  clock_.advance(seconds(100));
  add(5, 1);
  ASSERT_TRUE(core_->turn().ok());
  clock_.advance(seconds(4));
  EXPECT_TRUE(core_->turn().ok());
}

TEST_F(EngineCoreTest, OptionsReachTheScheduler) {
  for (const bool priorities : {false, true}) {
    make(EngineOptions{.limits = {.max_num_seqs = 1}, .priorities = priorities});
    const RequestId first = add(5, 3, /*priority=*/1);
    const RequestId urgent = add(5, 3);
    ASSERT_TRUE(core_->turn().ok());
    next();
    EXPECT_EQ(sink_.output(first).tokens.empty(), priorities);
    EXPECT_EQ(sink_.output(urgent).tokens.empty(), !priorities);
  }
}

TEST_F(EngineCoreTest, StatsCountWhatHappened) {
  make(1, 3);
  add(70, 10);
  add(70, 10);
  ASSERT_TRUE(core_->turn().ok());
  EXPECT_EQ(core_->stats().requests_running, 2);
  EXPECT_GT(core_->stats().kv_usage, 0);
  while (!core_->idle()) next();
  const EngineStats stats = core_->stats();
  EXPECT_EQ(stats.requests_running, 0);
  EXPECT_EQ(stats.prompt_tokens, 140);
  EXPECT_EQ(stats.generation_tokens, 20);
  EXPECT_EQ(stats.finished[static_cast<size_t>(FinishReason::kLength)], 2);
  EXPECT_EQ(stats.steps, runner_->steps_executed());
  EXPECT_GT(stats.spec_drafts, 0);
  EXPECT_EQ(stats.spec_draft_tokens, stats.spec_proposed_per_position[0] +
                                         stats.spec_proposed_per_position[1] +
                                         stats.spec_proposed_per_position[2]);
}

}  // namespace
}  // namespace hadal::test
