#include "text/merge_queue.h"

#include <gtest/gtest.h>

#include <random>

namespace hadal {
namespace {

using Entry = MergeQueue::Entry;

TEST(MergeQueue, IsEmptyAtFirst) {
  Entry entry;
  EXPECT_FALSE(MergeQueue().pop(entry));
}

TEST(MergeQueue, OrdersByRankThenIndexWhateverTheOrderOfArrival) {
  MergeQueue queue;
  for (const Entry entry : {Entry{5, 9}, Entry{5, 2}, Entry{0, 7}, Entry{5, 4}}) queue.push(entry);
  std::vector<Entry> popped;
  for (Entry entry; queue.pop(entry);) popped.push_back(entry);
  EXPECT_EQ(popped, (std::vector<Entry>{{0, 7}, {5, 2}, {5, 4}, {5, 9}}));
}

// Against a heap, with pushes between the pops: for higher ranks mostly, as in BPE, but also for
// the rank being worked through and for lower ones.
TEST(MergeQueue, AgreesWithAHeap) {
  constexpr uint32_t kSeed = 29;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 500; ++i) {
    MergeQueue queue;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> heap;
    const auto push = [&] {
      const Entry entry = {static_cast<uint32_t>(random() % 6),
                           static_cast<uint32_t>(random() % 50)};
      queue.push(entry);
      heap.push(entry);
    };
    for (size_t n = random() % 30; n > 0; --n) push();
    size_t pushes = 40;
    for (Entry entry; queue.pop(entry);) {
      ASSERT_FALSE(heap.empty()) << "seed " << kSeed;
      ASSERT_EQ(entry, heap.top()) << "seed " << kSeed;
      heap.pop();
      for (; pushes > 0 && random() % 3 == 0; --pushes) push();
    }
    ASSERT_TRUE(heap.empty());
  }
}

}  // namespace
}  // namespace hadal
