#include "hadal/kv_cache/kv_cache.h"

#include <gtest/gtest.h>

#include <random>

#include "hadal/core/step_plan.h"

namespace hadal {
namespace {

std::vector<TokenId> numbered(int count, TokenId first = 100) {
  std::vector<TokenId> tokens(count);
  for (int i = 0; i < count; ++i) tokens[i] = first + i;
  return tokens;
}

// A cache with one sequence that computed `tokens` and was released again.
class KvCacheTest : public ::testing::Test {
 protected:
  void compute(const std::vector<TokenId>& tokens, std::string_view salt = "") {
    PageTable table(salt);
    ASSERT_TRUE(cache_.try_open(table, tokens, static_cast<int64_t>(tokens.size())));
    cache_.publish(table, tokens, static_cast<int64_t>(tokens.size()) - 1);
    cache_.release(table);
    cache_.check_invariants({});
  }

  int found(const std::vector<TokenId>& tokens, std::string_view salt = "") {
    PageTable table(salt);
    const auto positions = cache_.try_open(table, tokens, static_cast<int64_t>(tokens.size()));
    cache_.release(table);
    return positions.value_or(-1);
  }

  KvCache cache_{/*pages_total=*/9, /*prefix_cache=*/true};
};

TEST_F(KvCacheTest, OpensWithEnoughPagesForThePositions) {
  for (const int positions : {1, 63, 64, 65, 128, 129, 8 * 64}) {
    PageTable table("");
    ASSERT_EQ(cache_.try_open(table, numbered(1), positions), 0);
    EXPECT_EQ(static_cast<int>(table.pages().size()), (positions + 63) / 64);
    for (const PageId page : table.pages()) EXPECT_NE(page, kTrashPage);
    const PageTable* const tables[] = {&table};
    cache_.check_invariants(tables);
    cache_.release(table);
  }
}

TEST_F(KvCacheTest, ARefusalHasNoEffect) {
  compute(numbered(3 * 64 + 1));
  PageTable table("");
  ASSERT_EQ(cache_.try_open(table, numbered(5, 9000), 5 * 64), 0);
  PageTable other("");
  EXPECT_FALSE(cache_.try_open(other, numbered(3 * 64 + 1), 8 * 64));
  EXPECT_TRUE(other.pages().empty());
  EXPECT_FALSE(cache_.try_extend(table, 8 * 64 + 1));
  EXPECT_EQ(table.pages().size(), 5U);
  EXPECT_EQ(cache_.pages_unheld(), 3);
  cache_.release(table);
  EXPECT_EQ(found(numbered(3 * 64 + 1)), 3 * 64);
}

TEST_F(KvCacheTest, FindsFullPagesAndLeavesOneTokenToCompute) {
  compute(numbered(2 * 64 + 1));
  EXPECT_EQ(found(numbered(2 * 64 + 1)), 2 * 64);
  EXPECT_EQ(found(numbered(2 * 64 + 50)), 2 * 64);
  EXPECT_EQ(found(numbered(2 * 64)), 64);
  EXPECT_EQ(found(numbered(65)), 64);
  EXPECT_EQ(found(numbered(64)), 0);
}

TEST_F(KvCacheTest, FindsNothingAcrossADifferentNextToken) {
  std::vector<TokenId> tokens = numbered(65);
  compute(tokens);
  tokens[64] += 1;
  EXPECT_EQ(found(tokens), 0);
}

TEST_F(KvCacheTest, FindsNothingUnderAnotherSalt) {
  compute(numbered(65), "tenant a");
  EXPECT_EQ(found(numbered(65), "tenant b"), 0);
  EXPECT_EQ(found(numbered(65), "tenant a"), 64);
}

TEST_F(KvCacheTest, PublishesOnlyWhatIsCommitted) {
  PageTable table("");
  const std::vector<TokenId> tokens = numbered(3 * 64);
  ASSERT_TRUE(cache_.try_open(table, tokens, 3 * 64));
  cache_.publish(table, tokens, 63);
  EXPECT_EQ(found(tokens), 0);
  cache_.publish(table, tokens, 64);
  EXPECT_EQ(found(tokens), 64);
  cache_.publish(table, tokens, 3 * 64 - 1);
  EXPECT_EQ(found(tokens), 2 * 64);
  EXPECT_DEATH(cache_.publish(table, tokens, 3 * 64), "has no next token");
  cache_.release(table);
}

TEST_F(KvCacheTest, SequencesShareFoundPages) {
  compute(numbered(2 * 64 + 1));
  PageTable a(""), b("");
  ASSERT_EQ(cache_.try_open(a, numbered(2 * 64 + 1), 3 * 64), 2 * 64);
  ASSERT_EQ(cache_.try_open(b, numbered(2 * 64 + 1), 3 * 64), 2 * 64);
  EXPECT_EQ(a.pages()[0], b.pages()[0]);
  EXPECT_EQ(a.pages()[1], b.pages()[1]);
  EXPECT_NE(a.pages()[2], b.pages()[2]);
  EXPECT_EQ(cache_.pages_unheld(), 4);
  EXPECT_EQ(cache_.pages_held_alone(a), 1);
  const PageTable* const tables[] = {&a, &b};
  cache_.check_invariants(tables);
  cache_.release(a);
  EXPECT_EQ(cache_.pages_held_alone(b), 3);
  cache_.release(b);
}

// The page that lookup finds must not be the page that the same call gives away.
TEST_F(KvCacheTest, LookupAndPinAreOneOperation) {
  compute(numbered(4 * 64 + 1));
  PageTable filler("");
  ASSERT_EQ(cache_.try_open(filler, numbered(1, 9000), 4 * 64), 0);
  PageTable table("");
  ASSERT_EQ(cache_.try_open(table, numbered(2 * 64 + 1), 4 * 64), 2 * 64);
  const PageTable* const tables[] = {&filler, &table};
  cache_.check_invariants(tables);
  cache_.release(filler);
  cache_.release(table);
}

TEST_F(KvCacheTest, TheSameContentComputedTwiceIsPublishedOnce) {
  PageTable a(""), b("");
  const std::vector<TokenId> tokens = numbered(65);
  ASSERT_TRUE(cache_.try_open(a, tokens, 65));
  ASSERT_TRUE(cache_.try_open(b, tokens, 65));
  cache_.publish(a, tokens, 64);
  cache_.publish(b, tokens, 64);
  const PageTable* const tables[] = {&a, &b};
  cache_.check_invariants(tables);
  const PageId first = a.pages()[0];
  cache_.release(b);
  cache_.release(a);
  PageTable c("");
  ASSERT_EQ(cache_.try_open(c, tokens, 65), 64);
  EXPECT_EQ(c.pages()[0], first);
  cache_.release(c);
}

TEST_F(KvCacheTest, EvictsTheLeastRecentlyUsedSequenceFromItsEnd) {
  compute(numbered(3 * 64 + 1, 1000));
  compute(numbered(3 * 64 + 1, 2000));
  EXPECT_EQ(found(numbered(3 * 64 + 1, 1000)), 3 * 64);  // used again: now the most recent one
  PageTable table("");
  ASSERT_EQ(cache_.try_open(table, numbered(1, 9000), 4 * 64), 0);
  cache_.release(table);
  EXPECT_EQ(found(numbered(3 * 64 + 1, 1000)), 3 * 64);
  EXPECT_EQ(found(numbered(3 * 64 + 1, 2000)), 64);  // its last two pages are gone
}

TEST(KvCacheWithoutPrefixCache, FindsNothing) {
  KvCache cache(9, /*prefix_cache=*/false);
  PageTable table("");
  const std::vector<TokenId> tokens = numbered(65);
  ASSERT_TRUE(cache.try_open(table, tokens, 65));
  cache.publish(table, tokens, 64);
  cache.release(table);
  EXPECT_EQ(cache.try_open(table, tokens, 65), 0);
  cache.release(table);
}

// Random sequences over few distinct prompts; the invariants hold after every operation.
TEST(KvCacheRandomised, KeepsItsInvariants) {
  std::mt19937 random(7);
  KvCache cache(40, true);
  struct Sequence {
    std::vector<TokenId> tokens;
    PageTable table{""};
    int64_t committed = 0;
  };
  std::vector<std::unique_ptr<Sequence>> open;
  for (int step = 0; step < 4000; ++step) {
    const uint32_t action = random() % 4;
    if (action == 0 || open.empty()) {
      auto sequence = std::make_unique<Sequence>();
      sequence->tokens = numbered(1 + random() % 300, static_cast<TokenId>(1000 * (random() % 3)));
      const auto size = static_cast<int64_t>(sequence->tokens.size());
      if (const auto hit = cache.try_open(sequence->table, sequence->tokens, size + 7)) {
        sequence->committed = *hit;
        open.push_back(std::move(sequence));
      }
    } else {
      const size_t which = random() % open.size();
      Sequence& sequence = *open[which];
      if (action == 1) {
        sequence.committed = static_cast<int64_t>(sequence.tokens.size()) - 1;
        cache.publish(sequence.table, sequence.tokens, sequence.committed);
      } else if (action == 2) {
        if (cache.try_extend(sequence.table, static_cast<int64_t>(sequence.tokens.size()) + 64)) {
          for (int i = 0; i < 40; ++i)
            sequence.tokens.push_back(static_cast<TokenId>(random() % 2));
        }
      } else {
        cache.release(sequence.table);
        open.erase(open.begin() + static_cast<ptrdiff_t>(which));
      }
    }
    std::vector<const PageTable*> tables;
    for (const auto& sequence : open) tables.push_back(&sequence->table);
    cache.check_invariants(tables);
  }
}

}  // namespace
}  // namespace hadal
