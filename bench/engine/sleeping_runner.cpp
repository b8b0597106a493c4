#include "sleeping_runner.h"

namespace hadal::bench {

SleepingRunner::SleepingRunner(const RunnerInfo& info, Duration step)
    : info_(info), step_(step), echo_(info.slots), thread_([this] { run(); }) {}

SleepingRunner::~SleepingRunner() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  submitted_.notify_one();
  thread_.join();
}

void SleepingRunner::submit(const StepPlan& plan) {
  ++in_flight_;
  {
    std::lock_guard lock(mutex_);
    queued_.push_back(&plan);
  }
  submitted_.notify_one();
}

Result<bool> SleepingRunner::poll(StepResult& result) {
  const StepPlan* plan = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (finished_.empty()) return false;
    plan = finished_.front();
    finished_.pop_front();
  }
  --in_flight_;
  echo_.make(*plan, result);
  return true;
}

void SleepingRunner::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    submitted_.wait(lock, [this] { return stopping_ || !queued_.empty(); });
    if (stopping_) return;
    lock.unlock();
    std::this_thread::sleep_for(step_);
    lock.lock();
    finished_.push_back(queued_.front());
    queued_.pop_front();
    lock.unlock();
    wakeup_();
    lock.lock();
  }
}

}  // namespace hadal::bench
