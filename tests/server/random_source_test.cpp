#include "server/random_source.h"

#include <gtest/gtest.h>

#include <set>

namespace hadal {
namespace {

TEST(RandomSource, IdsAreLongAndDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.insert(random_id());
  EXPECT_EQ(ids.size(), 100U);
  EXPECT_EQ(ids.begin()->size(), 32U);
}

TEST(RandomSource, AGivenSeedRepeatsTheStreamAndDrawsDiffer) {
  SeedSource a(5);
  SeedSource b(5);
  SeedSource other(6);
  const uint64_t first = a.next();
  EXPECT_EQ(b.next(), first);
  EXPECT_NE(other.next(), first);
  EXPECT_NE(a.next(), first);
}

TEST(RandomSource, WithoutASeedStreamsDiffer) {
  EXPECT_NE(SeedSource(std::nullopt).next(), SeedSource(std::nullopt).next());
}

}  // namespace
}  // namespace hadal
