#include "server/stream_gate.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace hadal {
namespace {

TEST(StreamGate, AdmitsUpToItsLimitAndAgainAfterALeave) {
  StreamGate gate(2);
  auto first = gate.try_enter();
  auto second = gate.try_enter();
  EXPECT_NE(first, nullptr);
  EXPECT_NE(second, nullptr);
  EXPECT_EQ(gate.try_enter(), nullptr);
  EXPECT_EQ(gate.inside(), 2);
  first.reset();
  EXPECT_NE(gate.try_enter(), nullptr);
}

TEST(StreamGate, WaitsUntilTheLastHasLeft) {
  StreamGate gate(1);
  auto ticket = gate.try_enter();
  EXPECT_FALSE(gate.wait_empty(Duration::zero()));
  std::thread leaver([&] { ticket.reset(); });
  EXPECT_TRUE(gate.wait_empty(std::chrono::seconds(20)));
  leaver.join();
}

}  // namespace
}  // namespace hadal
