#include "hadal/device/arena.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace hadal::device {
namespace {

alignas(256) std::byte block[1024];

std::size_t offset_of(void* piece) {
  return static_cast<std::size_t>(static_cast<std::byte*>(piece) - block);
}

TEST(Arena, AlignsEveryPiece) {
  Arena arena(block, sizeof block);
  EXPECT_EQ(offset_of(*arena.take(1)), 0u);
  EXPECT_EQ(offset_of(*arena.take(1, 16)), 16u);
  EXPECT_EQ(offset_of(*arena.take(1)), 256u);
}

TEST(Arena, TakesExactlyItsCapacityAndRefusesOneByteMore) {
  Arena arena(block, sizeof block);
  ASSERT_TRUE(arena.take(sizeof block));
  const auto refused = arena.take(1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(arena.used_bytes(), sizeof block);
}

TEST(Arena, RefusalChangesNothing) {
  Arena arena(block, sizeof block);
  ASSERT_TRUE(arena.take(10));
  ASSERT_FALSE(arena.take(SIZE_MAX));
  EXPECT_EQ(arena.used_bytes(), 10u);
  EXPECT_EQ(arena.high_water_bytes(), 10u);
}

TEST(Arena, RewindReusesBytesAndKeepsTheHighWaterMark) {
  Arena arena(block, sizeof block);
  ASSERT_TRUE(arena.take(256));
  const Arena::Mark mark = arena.mark();
  void* const first = *arena.take(512);
  arena.rewind(mark);
  EXPECT_EQ(arena.used_bytes(), 256u);
  EXPECT_EQ(*arena.take(100), first);
  EXPECT_EQ(arena.high_water_bytes(), 768u);
}

TEST(ArenaDeathTest, RewindingForwardIsABug) {
  Arena arena(block, sizeof block);
  EXPECT_DEATH(arena.rewind(Arena::Mark{1}), "ahead");
}

}  // namespace
}  // namespace hadal::device
