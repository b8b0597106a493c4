#include "ops/cpu/thread_pool.h"

#include <chrono>

#include "hadal/base/check.h"

namespace hadal::ops {
namespace {

// Longer than the gaps between the operations of one step, shorter than those between steps.
constexpr std::chrono::microseconds kSpin{50};
constexpr int kPausesPerClockRead = 64;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

int tasks_of(uint64_t ticket) {
  return static_cast<int>(ticket >> 16 & 0xFFFF);
}
int next_of(uint64_t ticket) {
  return static_cast<int>(ticket & 0xFFFF);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  HADAL_CHECK(threads >= 1, "a pool of {} threads", threads);
  for (int thread = 1; thread < threads; ++thread) {
    workers_.emplace_back([this, thread] { worker_loop(thread); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_erased(int tasks, Function function, void* context) {
  HADAL_CHECK(tasks >= 0 && tasks <= kTasksMax, "{} tasks", tasks);
  if (workers_.empty() || tasks <= 1) {
    for (int task = 0; task < tasks; ++task) function(context, task, 0);
    return;
  }
  function_.store(function, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  finished_.store(0, std::memory_order_relaxed);
  const uint32_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
  ticket_.store(uint64_t{epoch} << 32 | uint64_t(tasks) << 16, std::memory_order_release);
  epoch_.store(epoch);  // sequentially consistent with a worker's sleepers_ and wait
  if (sleepers_.load() > 0) epoch_.notify_all();

  while (work_on_one(0)) {
  }
  for (int spins = 0; finished_.load(std::memory_order_acquire) != tasks; ++spins) {
    if (spins < 4096) {
      pause();
    } else {
      std::this_thread::yield();  // a worker was descheduled inside a task
    }
  }
}

bool ThreadPool::work_on_one(int thread) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  for (;;) {
    if (next_of(ticket) >= tasks_of(ticket)) return false;
    const Function function = function_.load(std::memory_order_relaxed);
    void* const context = context_.load(std::memory_order_relaxed);
    if (ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) {
      function(context, next_of(ticket), thread);
      finished_.fetch_add(1, std::memory_order_release);
      return true;
    }
  }
}

void ThreadPool::worker_loop(int thread) {
  using Clock = std::chrono::steady_clock;
  while (!stop_.load()) {
    const uint32_t seen = epoch_.load();
    const auto give_up = Clock::now() + kSpin;
    bool worked = false;
    do {
      for (int i = 0; i < kPausesPerClockRead && !worked; ++i) {
        while (work_on_one(thread)) worked = true;
        pause();
      }
    } while (!worked && Clock::now() < give_up);
    if (worked) continue;
    sleepers_.fetch_add(1);
    epoch_.wait(seen);
    sleepers_.fetch_sub(1);
  }
}

}  // namespace hadal::ops
