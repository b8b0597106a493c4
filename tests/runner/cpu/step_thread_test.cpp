#include "runner/cpu/step_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <semaphore>
#include <stdexcept>
#include <vector>

namespace hadal {
namespace {

// Waits for the thread through its wake-up.
class Owner {
 public:
  explicit Owner(StepThread::Execute execute) : thread(std::move(execute)) {
    thread.set_wakeup([this] { woken_.release(); });
  }

  // The next result, or an error.
  Result<StepResult> wait() {
    for (;;) {
      StepResult result;
      Result<bool> polled = thread.poll(result);
      if (!polled) return polled.error();
      if (*polled) return result;
      woken_.acquire();
    }
  }

 private:
  std::counting_semaphore<> woken_{0};  // outlives the thread that releases it

 public:
  StepThread thread;
};

void copy_step(const StepPlan& plan, StepResult& result) {
  result.step = plan.step;
}

TEST(StepThread, GivesResultsInOrderAtAnyDepth) {
  Owner owner(copy_step);
  std::vector<StepPlan> plans(5);
  for (uint64_t i = 0; i < plans.size(); ++i) {
    plans[i].step = i + 1;
    owner.thread.submit(plans[i]);
    EXPECT_EQ(owner.thread.in_flight(), static_cast<int>(i) + 1);
  }
  for (uint64_t i = 0; i < plans.size(); ++i) EXPECT_EQ(owner.wait().value().step, i + 1);
  EXPECT_EQ(owner.thread.in_flight(), 0);
  StepResult unused;
  EXPECT_FALSE(owner.thread.poll(unused).value());
}

TEST(StepThread, SubmitDoesNotWaitForTheStep) {
  std::promise<void> release;
  Owner owner([&, gate = release.get_future().share()](const StepPlan& plan, StepResult& result) {
    gate.wait();
    copy_step(plan, result);
  });
  StepPlan plan{.step = 1};
  owner.thread.submit(plan);
  StepResult unused;
  EXPECT_FALSE(owner.thread.poll(unused).value());
  EXPECT_EQ(owner.thread.in_flight(), 1);
  release.set_value();
  EXPECT_EQ(owner.wait().value().step, 1U);
}

TEST(StepThread, AnExceptionFailsThisStepAndDropsLaterOnes) {
  std::atomic<int> executed = 0;
  std::promise<void> all_submitted;
  Owner owner(
      [&, gate = all_submitted.get_future().share()](const StepPlan& plan, StepResult& result) {
        gate.wait();
        ++executed;
        if (plan.step == 2) throw std::runtime_error("no memory");
        copy_step(plan, result);
      });
  std::vector<StepPlan> plans(3);
  for (uint64_t i = 0; i < plans.size(); ++i) {
    plans[i].step = i + 1;
    owner.thread.submit(plans[i]);
  }
  all_submitted.set_value();
  EXPECT_EQ(owner.wait().value().step, 1U) << "what finished before the failure is delivered";
  const Result<StepResult> failed = owner.wait();
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kDevice);
  EXPECT_EQ(failed.error().message, "step 2 failed: no memory");
  EXPECT_FALSE(owner.wait().ok()) << "and it stays failed";
  EXPECT_EQ(executed, 2);
}

// A device fails between two polls, so the owner cannot know it yet.
TEST(StepThread, AStepSubmittedToAFailedThreadIsDropped) {
  Owner owner([](const StepPlan&, StepResult&) { throw std::runtime_error("no memory"); });
  StepPlan first{.step = 1}, second{.step = 2};
  owner.thread.submit(first);
  ASSERT_FALSE(owner.wait().ok());
  owner.thread.submit(second);
  const Result<StepResult> failed = owner.wait();
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message, "step 1 failed: no memory");
}

TEST(StepThread, EndsWhileStepsAreQueued) {
  std::atomic<int> executed = 0;
  std::vector<StepPlan> plans(100);
  {
    Owner owner([&](const StepPlan& plan, StepResult& result) {
      ++executed;
      copy_step(plan, result);
    });
    for (StepPlan& plan : plans) owner.thread.submit(plan);
  }
  EXPECT_LE(executed, 100);
}

}  // namespace
}  // namespace hadal
