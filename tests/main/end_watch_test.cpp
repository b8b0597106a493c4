#include "main/end_watch.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <thread>

namespace hadal {
namespace {

// The watch of a process: its thread is the one that signals reach.
TEST(EndWatch, EndsAtEitherSignal) {
  for (const int number : {SIGTERM, SIGINT}) {
    EndWatch watch;
    pthread_kill(pthread_self(), number);
    EXPECT_EQ(watch.wait(), EndCause::kSignal);
  }
}

TEST(EndWatch, EndsAtAFailureOfAnotherThread) {
  EndWatch watch;
  std::thread reporter([&] { watch.report_failure(); });
  EXPECT_EQ(watch.wait(), EndCause::kFailure);
  reporter.join();
}

TEST(EndWatch, AFailureCountsMoreThanASignal) {
  EndWatch watch;
  pthread_kill(pthread_self(), SIGTERM);
  watch.report_failure();
  EXPECT_EQ(watch.wait(), EndCause::kFailure);
}

TEST(EndWatchDeathTest, ASecondSignalKills) {
  EXPECT_EXIT(
      {
        EndWatch watch;
        pthread_kill(pthread_self(), SIGTERM);
        watch.wait();
        watch.let_signals_kill();
        pthread_kill(pthread_self(), SIGTERM);
      },
      ::testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace hadal
