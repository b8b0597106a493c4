#include "engine/pacer.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

using std::chrono::milliseconds;

StepPlan decode_plan(int rows) {
  StepPlan plan;
  plan.rows.resize(rows);
  return plan;
}

StepPlan mixed_plan(int tokens) {
  StepPlan plan;
  plan.rows.push_back({.kind = RowKind::kPrefill, .tokens_end = tokens});
  return plan;
}

class PacerTest : public ::testing::Test {
 protected:
  static TimePoint at(int64_t ms) { return TimePoint{milliseconds(ms)}; }

  // The pacer knows that a step of this shape takes 10 ms.
  void learn(const StepPlan& plan) {
    for (int i = 0; i < 20; ++i) {
      pacer_.submitted(plan, at(now_ms_));
      pacer_.finished(at(now_ms_ += 10));
    }
  }

  Pacer pacer_;
  int64_t now_ms_ = 0;
};

TEST_F(PacerTest, DoesNotWaitWithNothingInFlight) {
  learn(decode_plan(4));
  EXPECT_TRUE(pacer_.may_submit(at(now_ms_)));
  EXPECT_EQ(pacer_.next_time(), std::nullopt);
}

TEST_F(PacerTest, DoesNotWaitForAShapeItHasNotSeen) {
  learn(decode_plan(4));
  pacer_.submitted(mixed_plan(4), at(now_ms_));
  EXPECT_TRUE(pacer_.may_submit(at(now_ms_)));
}

// "The pacer lets step N+1 go no earlier than the predicted end of step N minus twice the measured
// host time."
TEST_F(PacerTest, LetsTheNextStepGoTwiceTheHostTimeBeforeThePredictedEnd) {
  learn(decode_plan(4));
  pacer_.host_time(milliseconds(2));
  pacer_.submitted(decode_plan(4), at(now_ms_));
  EXPECT_EQ(pacer_.next_time(), at(now_ms_ + 10 - 4));
  EXPECT_FALSE(pacer_.may_submit(at(now_ms_ + 5)));
  EXPECT_TRUE(pacer_.may_submit(at(now_ms_ + 6)));
}

TEST_F(PacerTest, AStepBehindAnotherStartsAtItsEnd) {
  learn(decode_plan(4));
  pacer_.host_time(milliseconds(1));
  pacer_.submitted(decode_plan(4), at(now_ms_));
  pacer_.submitted(decode_plan(4), at(now_ms_ + 8));
  EXPECT_EQ(pacer_.next_time(), at(now_ms_ + 20 - 2));
  pacer_.finished(at(now_ms_ + 10));
  EXPECT_EQ(pacer_.next_time(), at(now_ms_ + 20 - 2));
}

TEST_F(PacerTest, AnEarlyFinishIsNotTakenForAShortStep) {
  learn(decode_plan(4));
  // Submitted 8 ms before the one in front of it ends: its 10 ms begin there.
  pacer_.submitted(decode_plan(4), at(now_ms_));
  pacer_.submitted(decode_plan(4), at(now_ms_ + 2));
  pacer_.finished(at(now_ms_ + 10));
  pacer_.finished(at(now_ms_ + 20));
  pacer_.submitted(decode_plan(4), at(now_ms_ + 20));
  EXPECT_EQ(pacer_.next_time(), at(now_ms_ + 30));
}

TEST_F(PacerTest, UnsteadyDurationsArePredictedOnTheirEarlySide) {
  for (int i = 0; i < 50; ++i) {
    pacer_.submitted(decode_plan(4), at(now_ms_));
    pacer_.finished(at(now_ms_ += i % 2 == 0 ? 8 : 12));
  }
  pacer_.submitted(decode_plan(4), at(now_ms_));
  EXPECT_LE(*pacer_.next_time(), at(now_ms_ + 8));
  EXPECT_GE(*pacer_.next_time(), at(now_ms_ + 4));
}

TEST(RunningMean, FollowsAndNeverGoesBelowZero) {
  RunningMean mean;
  EXPECT_TRUE(mean.empty());
  mean.add(milliseconds(10));
  EXPECT_EQ(mean.mean(), milliseconds(10));
  EXPECT_EQ(mean.low(), milliseconds(10));
  for (int i = 0; i < 100; ++i) mean.add(milliseconds(20));
  EXPECT_NEAR(static_cast<double>(mean.mean().count()), 20e6, 1e5);
  for (int i = 0; i < 100; ++i) mean.add(milliseconds(i % 2 == 0 ? 0 : 100));
  EXPECT_GE(mean.low().count(), 0);
}

}  // namespace
}  // namespace hadal
