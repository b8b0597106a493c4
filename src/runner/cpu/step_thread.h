// A thread that executes plans in order of submission. It knows nothing of what a step does, and
// nothing of how many may be in flight.
//
// Threads: submit, poll, in_flight and set_wakeup are called by one thread, the owner. `execute`
// and the wake-up run on the step thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "hadal/base/status.h"
#include "hadal/core/step_plan.h"

namespace hadal {

class StepThread {
 public:
  // Fills the result of a plan. An exception that leaves it fails the thread for good.
  using Execute = std::function<void(const StepPlan&, StepResult&)>;

  explicit StepThread(Execute execute);
  // Waits for the step being executed; those queued behind it are dropped.
  ~StepThread();
  StepThread(const StepThread&) = delete;
  StepThread& operator=(const StepThread&) = delete;

  // As in Runner.
  void set_wakeup(std::function<void()> wakeup);
  void submit(const StepPlan& plan);
  Result<bool> poll(StepResult& result);
  int in_flight() const { return in_flight_; }

 private:
  void run();
  // Waits for work; null when the thread shall end.
  const StepPlan* next_plan();
  void finish(StepResult&& result);
  void fail(uint64_t step, const char* why);

  const Execute execute_;
  std::function<void()> wakeup_;  // set before the first submit, which publishes it
  int in_flight_ = 0;             // owner's thread only

  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<const StepPlan*> queued_;  // these four: guarded by mutex_
  std::deque<StepResult> finished_;
  std::optional<Error> failure_;
  bool stopping_ = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace hadal
