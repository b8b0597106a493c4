#include "server/generation.h"

#include <gtest/gtest.h>

#include <thread>

namespace hadal {
namespace {

constexpr Duration kNoWait = Duration::zero();
constexpr Duration kPatience = std::chrono::seconds(20);

ChoiceUpdate text(const char* content, int choice = 0) {
  return {.choice = choice, .content = content};
}
ChoiceUpdate end(int choice = 0) {
  return {.choice = choice, .end = ChoiceEnd{}};
}

TEST(Generation, GivesUpdatesInOrderAndOnce) {
  Generation generation(1, 4);
  EXPECT_FALSE(generation.wait_for(kNoWait));
  EXPECT_TRUE(generation.put(text("a")));
  EXPECT_TRUE(generation.put(text("b")));
  EXPECT_TRUE(generation.wait_for(kNoWait));
  const auto updates = generation.take();
  ASSERT_EQ(updates.size(), 2U);
  EXPECT_EQ(updates[0].content, "a");
  EXPECT_EQ(updates[1].content, "b");
  EXPECT_TRUE(generation.take().empty());
}

TEST(Generation, IsFinishedWhenEveryEndHasBeenTaken) {
  Generation generation(2, 4);
  EXPECT_TRUE(generation.put(end(0)));
  generation.take();
  EXPECT_FALSE(generation.finished());
  EXPECT_TRUE(generation.put(end(1)));
  EXPECT_FALSE(generation.finished());
  generation.take();
  EXPECT_TRUE(generation.finished());
}

TEST(Generation, AReaderAtTheLimitIsKeptAndOneAboveIsLost) {
  Generation generation(1, 2);
  EXPECT_TRUE(generation.put(text("a")));
  EXPECT_TRUE(generation.put(text("b")));
  EXPECT_FALSE(generation.too_slow());
  EXPECT_FALSE(generation.put(text("c")));
  EXPECT_TRUE(generation.too_slow());
  EXPECT_TRUE(generation.wait_for(kNoWait)) << "the worker must learn of it";
  EXPECT_TRUE(generation.take().empty());
  EXPECT_FALSE(generation.put(end()));
}

TEST(Generation, AnEndAlwaysFits) {
  Generation generation(1, 1);
  EXPECT_TRUE(generation.put(text("a")));
  EXPECT_TRUE(generation.put(end()));
  EXPECT_EQ(generation.take().size(), 2U);
  EXPECT_TRUE(generation.finished());
}

TEST(Generation, AnAbandonedOneTakesNothing) {
  Generation generation(1, 4);
  generation.abandon();
  EXPECT_FALSE(generation.put(text("a")));
}

TEST(Generation, WakesItsWorker) {
  Generation generation(1, 4);
  std::thread producer([&] {
    generation.put(text("a"));
    generation.notify();
  });
  EXPECT_TRUE(generation.wait_for(kPatience));
  producer.join();
}

}  // namespace
}  // namespace hadal
