#include "hadal/base/bounded_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace hadal {
namespace {

TEST(BoundedQueue, RefusesAtCapacityAndLeavesTheItem) {
  BoundedQueue<std::unique_ptr<int>> queue(2);
  EXPECT_TRUE(queue.try_push(std::make_unique<int>(1)));
  EXPECT_TRUE(queue.try_push(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  EXPECT_FALSE(queue.try_push(std::move(third)));
  ASSERT_NE(third, nullptr);
  EXPECT_EQ(**queue.try_pop(), 1);
  EXPECT_TRUE(queue.try_push(std::move(third)));
}

TEST(BoundedQueue, KeepsWhatWasQueuedBeforeClose) {
  BoundedQueue<int> queue(4);
  EXPECT_TRUE(queue.try_push(7));
  queue.close();
  EXPECT_FALSE(queue.try_push(8));
  EXPECT_EQ(queue.pop_for(std::chrono::seconds(1)), 7);
  EXPECT_EQ(queue.pop_for(std::chrono::seconds(1)), std::nullopt);
}

TEST(BoundedQueue, TimesOutWhenEmpty) {
  BoundedQueue<int> queue(1);
  EXPECT_EQ(queue.pop_for(std::chrono::milliseconds(1)), std::nullopt);
}

TEST(BoundedQueue, DeliversEveryItemOnceAcrossThreads) {
  constexpr int kItems = 2000;
  BoundedQueue<int> queue(16);
  std::thread producer([&] {
    for (int i = 1; i <= kItems; ++i) {
      while (!queue.try_push(int{i})) std::this_thread::yield();
    }
    queue.close();
  });
  int64_t sum = 0;
  while (true) {
    if (auto item = queue.pop_for(std::chrono::seconds(5)))
      sum += *item;
    else if (queue.closed())
      break;
  }
  producer.join();
  EXPECT_EQ(sum, int64_t{kItems} * (kItems + 1) / 2);
}

}  // namespace
}  // namespace hadal
