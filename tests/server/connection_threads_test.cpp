#include "server/connection_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace hadal {
namespace {

TEST(ConnectionThreads, NoneWaitsBehindAnotherUpToTheLimit) {
  constexpr int kThreads = 4;
  ConnectionThreads threads(kThreads);
  std::latch all_run(kThreads);
  std::latch release(1);
  for (int i = 0; i < kThreads; ++i) {
    EXPECT_TRUE(threads.enqueue([&] {
      all_run.count_down();
      release.wait();
    }));
  }
  all_run.wait();  // would never return if one waited behind another
  EXPECT_FALSE(threads.enqueue([] {})) << "one above the limit";
  release.count_down();
  threads.shutdown();
}

TEST(ConnectionThreads, AFreedThreadServesTheNext) {
  ConnectionThreads threads(1);
  std::atomic<int> served{0};
  for (int i = 0; i < 50; ++i) {
    std::latch done(1);
    // The thread may need a moment to come back from the connection before.
    while (!threads.enqueue([&] {
      ++served;
      done.count_down();
    })) {
      std::this_thread::yield();
    }
    done.wait();
  }
  threads.shutdown();
  EXPECT_EQ(served, 50);
}

TEST(ConnectionThreads, ShutdownServesWhatWasTakenAndRefusesTheRest) {
  ConnectionThreads threads(8);
  std::atomic<int> served{0};
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(threads.enqueue([&] { ++served; }));
  threads.shutdown();
  EXPECT_EQ(served, 8);
  EXPECT_FALSE(threads.enqueue([] {}));
  threads.shutdown();
}

}  // namespace
}  // namespace hadal
