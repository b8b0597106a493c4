// A fixed set of threads for short fork-joins: parallel loops of microseconds, thousands a second.
//
// run() hands out task indices one by one; the calling thread works too and never waits for a
// thread that has not started a task, so a sleeping or descheduled worker costs nothing but its
// help. Workers spin for kSpin after their last task and then sleep, so that an idle pool burns no
// CPU. Which thread runs which task is not determined: tasks must not depend on each other.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace hadal::ops {

class ThreadPool {
 public:
  // `threads` counts the caller: 1 makes no thread. REQUIRES: threads >= 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls f(task, thread) for every task in [0, tasks), thread in [0, threads()), and returns when
  // all have returned. One caller at a time; f must not throw or call run(). REQUIRES: tasks <=
  // kTasksMax.
  template <typename F>
  void run(int tasks, F&& f) {
    run_erased(
        tasks,
        [](void* context, int task, int thread) {
          (*static_cast<std::remove_reference_t<F>*>(context))(task, thread);
        },
        const_cast<void*>(static_cast<const void*>(&f)));
  }

  static constexpr int kTasksMax = 0xFFFF;

 private:
  using Function = void (*)(void* context, int task, int thread);

  void run_erased(int tasks, Function function, void* context);
  bool work_on_one(int thread);
  void worker_loop(int thread);

  // Epoch (32 bits), number of tasks (16), next task (16). One word, so that a claim succeeds only
  // on the job it was read from: then function_ and context_ are that job's.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  std::atomic<Function> function_{nullptr};
  std::atomic<void*> context_{nullptr};
  alignas(64) std::atomic<int> finished_{0};
  alignas(64) std::atomic<uint32_t> epoch_{0};  // what sleepers wait on
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

}  // namespace hadal::ops
