#include "runner/cpu/step_thread.h"

#include <fmt/format.h>

#include <exception>
#include <utility>

#include "hadal/base/check.h"

namespace hadal {

StepThread::StepThread(Execute execute)
    : execute_(std::move(execute)), thread_([this] { run(); }) {}

StepThread::~StepThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  thread_.join();
}

void StepThread::set_wakeup(std::function<void()> wakeup) {
  HADAL_CHECK(in_flight_ == 0, "the wake-up is set after a step was submitted");
  const std::lock_guard lock(mutex_);
  wakeup_ = std::move(wakeup);
}

void StepThread::submit(const StepPlan& plan) {
  {
    const std::lock_guard lock(mutex_);
    // The thread may have failed since the last poll; the next one tells.
    if (!failure_) queued_.push_back(&plan);
  }
  ++in_flight_;
  work_.notify_one();
}

Result<bool> StepThread::poll(StepResult& result) {
  const std::lock_guard lock(mutex_);
  // Steps that finished before the failure are still good.
  if (finished_.empty()) {
    if (failure_) return *failure_;
    return false;
  }
  result = std::move(finished_.front());
  finished_.pop_front();
  --in_flight_;
  return true;
}

const StepPlan* StepThread::next_plan() {
  std::unique_lock lock(mutex_);
  work_.wait(lock, [this] { return stopping_ || !queued_.empty(); });
  if (stopping_) return nullptr;
  const StepPlan* plan = queued_.front();
  queued_.pop_front();
  return plan;
}

void StepThread::finish(StepResult&& result) {
  const std::lock_guard lock(mutex_);
  finished_.push_back(std::move(result));
}

void StepThread::fail(uint64_t step, const char* why) {
  const std::lock_guard lock(mutex_);
  failure_ = Error{ErrorCode::kDevice, fmt::format("step {} failed: {}", step, why)};
  queued_.clear();
}

void StepThread::run() {
  bool failed = false;
  while (const StepPlan* plan = failed ? nullptr : next_plan()) {
    const uint64_t step = plan->step;
    try {
      StepResult result;
      execute_(*plan, result);
      finish(std::move(result));
    } catch (const std::exception& exception) {
      failed = true;
      fail(step, exception.what());
    }
    if (wakeup_) wakeup_();
  }
}

}  // namespace hadal
