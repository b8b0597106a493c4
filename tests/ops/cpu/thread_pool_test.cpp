#include "ops/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <vector>

namespace hadal::ops {
namespace {

TEST(ThreadPool, RunsEveryTaskOnceForEveryNumberOfTasksAndThreads) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const int tasks : {0, 1, 2, 3, 7, 64, 1000, ThreadPool::kTasksMax}) {
      std::vector<int> runs(static_cast<size_t>(tasks), 0);
      pool.run(tasks, [&](int task, int thread) {
        EXPECT_TRUE(thread >= 0 && thread < threads);
        ++runs[static_cast<size_t>(task)];  // each task owns its element
      });
      for (const int count : runs) ASSERT_EQ(count, 1) << tasks << " tasks, " << threads;
    }
  }
}

// Jobs follow each other at once, as in a step: a late worker must not run a task of an old job.
TEST(ThreadPool, ManyShortJobsInARow) {
  ThreadPool pool(3);
  int64_t total = 0;
  for (int job = 0; job < 20000; ++job) {
    int sums[3] = {};
    pool.run(3, [&, job](int task, int) { sums[task] += job; });
    total += sums[0] + sums[1] + sums[2];
  }
  EXPECT_EQ(total, int64_t{3} * 20000 * 19999 / 2);
}

TEST(ThreadPoolDeathTest, TooManyTasksAbort) {
  ThreadPool pool(1);
  EXPECT_DEATH(pool.run(ThreadPool::kTasksMax + 1, [](int, int) {}), "tasks");
}

// The HTTP threads need the processors of an idle pool. Waits for the workers to fall asleep by
// watching the process's own processor time; a pool that spins for ever never gets there.
TEST(ThreadPool, AnIdlePoolUsesNoProcessorTime) {
  ThreadPool pool(4);
  pool.run(8, [](int, int) {});
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  bool idle = false;
  while (!idle && std::chrono::steady_clock::now() < give_up) {
    const std::clock_t before = std::clock();
    const timespec pause{.tv_sec = 0, .tv_nsec = 20'000'000};
    nanosleep(&pause, nullptr);
    idle = std::clock() - before < CLOCKS_PER_SEC / 1000;  // 1 ms in 20
  }
  EXPECT_TRUE(idle);
  int ran = 0;
  pool.run(1, [&](int, int) { ++ran; });
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace hadal::ops
