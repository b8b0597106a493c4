#include "kv_cache/page_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace hadal {
namespace {

// A key whose home cell is chosen, so that collisions of cells can be made.
PageKey key_at(uint8_t home, uint8_t distinct) {
  PageKey key;
  key.digest[0] = home;
  key.digest[31] = distinct;
  return key;
}

TEST(PageIndex, FindsWhatWasInsertedAndNothingElse) {
  PageIndex index(8);
  EXPECT_TRUE(index.insert(key_at(1, 0), PageId{3}));
  EXPECT_EQ(index.find(key_at(1, 0)), PageId{3});
  EXPECT_EQ(index.find(key_at(1, 1)), std::nullopt);
  EXPECT_EQ(index.find(key_at(2, 0)), std::nullopt);
}

TEST(PageIndex, AKeyKeepsItsFirstPage) {
  PageIndex index(8);
  EXPECT_TRUE(index.insert(key_at(1, 0), PageId{3}));
  EXPECT_FALSE(index.insert(key_at(1, 0), PageId{4}));
  EXPECT_FALSE(index.contains(PageId{4}));
  EXPECT_DEATH(index.insert(key_at(2, 0), PageId{3}), "has a key");
}

TEST(PageIndex, ErasingKeepsWhatWasPushedPastTheCell) {
  PageIndex index(8);  // 16 cells
  for (uint8_t i = 0; i < 4; ++i) ASSERT_TRUE(index.insert(key_at(15, i), PageId{i + 1}));
  ASSERT_TRUE(index.insert(key_at(0, 9), PageId{5}));
  index.erase(PageId{1});
  index.check_invariants();
  EXPECT_EQ(index.find(key_at(15, 0)), std::nullopt);
  for (uint8_t i = 1; i < 4; ++i) EXPECT_EQ(index.find(key_at(15, i)), PageId{i + 1});
  EXPECT_EQ(index.find(key_at(0, 9)), PageId{5});
}

TEST(PageIndex, AgreesWithAMapUnderRandomUse) {
  constexpr int kPages = 40;
  std::mt19937 random(1);
  PageIndex index(kPages);
  std::map<std::pair<int, int>, PageId> twin;
  for (int step = 0; step < 20000; ++step) {
    const PageId page{static_cast<int32_t>(1 + random() % (kPages - 1))};
    const std::pair<int, int> name{random() % 8, random() % 16};
    if (index.contains(page)) {
      index.erase(page);
      std::erase_if(twin, [&](const auto& entry) { return entry.second == page; });
    } else {
      const PageKey key =
          key_at(static_cast<uint8_t>(name.first), static_cast<uint8_t>(name.second));
      EXPECT_EQ(index.insert(key, page), twin.try_emplace(name, page).second);
    }
    ASSERT_EQ(index.size(), static_cast<int32_t>(twin.size()));
    if (step % 100 == 0) index.check_invariants();
  }
  for (const auto& [name, page] : twin) {
    EXPECT_EQ(
        index.find(key_at(static_cast<uint8_t>(name.first), static_cast<uint8_t>(name.second))),
        page);
  }
}

}  // namespace
}  // namespace hadal
