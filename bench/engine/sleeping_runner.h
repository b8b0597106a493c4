// A runner that takes time like a GPU and no processor: a step lasts as long as it is told, one
// after the other, whatever the host does meanwhile.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "hadal/base/clock.h"
#include "hadal/runner/runner.h"
#include "scheduler/echo_results.h"

namespace hadal::bench {

class SleepingRunner final : public Runner {
 public:
  SleepingRunner(const RunnerInfo& info, Duration step);
  ~SleepingRunner() override;

  const RunnerInfo& info() const override { return info_; }
  void set_wakeup(std::function<void()> wakeup) override { wakeup_ = std::move(wakeup); }
  void submit(const StepPlan& plan) override;
  Result<bool> poll(StepResult& result) override;
  int in_flight() const override { return in_flight_; }

 private:
  void run();

  const RunnerInfo info_;
  const Duration step_;
  std::function<void()> wakeup_;  // set before the first submit
  int in_flight_ = 0;             // the loop's thread only
  test::EchoResults echo_;        // the loop's thread only

  std::mutex mutex_;
  std::condition_variable submitted_;
  // Guarded by mutex_:
  std::deque<const StepPlan*> queued_;
  std::deque<const StepPlan*> finished_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace hadal::bench
