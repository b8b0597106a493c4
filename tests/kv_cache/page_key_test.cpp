#include "hadal/kv_cache/page_key.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace hadal {
namespace {

std::vector<TokenId> counting(int count) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 100);
  return tokens;
}

std::vector<PageKey> keys_of(std::span<const TokenId> tokens, std::string_view salt = "") {
  PageKeyChain chain(salt);
  chain.extend(tokens);
  return {chain.keys().begin(), chain.keys().end()};
}

TEST(PageKey, APageHasAKeyOnceItsNextTokenIsKnown) {
  EXPECT_EQ(keys_of(counting(0)).size(), 0U);
  EXPECT_EQ(keys_of(counting(63)).size(), 0U);
  EXPECT_EQ(keys_of(counting(64)).size(), 0U);
  EXPECT_EQ(keys_of(counting(65)).size(), 1U);
  EXPECT_EQ(keys_of(counting(128)).size(), 1U);
  EXPECT_EQ(keys_of(counting(129)).size(), 2U);
}

TEST(PageKey, DependsOnEveryTokenTheNextOneTheParentAndTheSalt) {
  const std::vector<TokenId> tokens = counting(129);
  std::set<std::array<uint8_t, 32>> seen = {keys_of(tokens)[1].digest};
  for (const int changed : {0, 63, 64, 127, 128}) {
    std::vector<TokenId> other = tokens;
    other[changed] += 1;
    EXPECT_TRUE(seen.insert(keys_of(other)[1].digest).second) << "token " << changed;
  }
  EXPECT_TRUE(seen.insert(keys_of(tokens, "tenant")[1].digest).second);
}

TEST(PageKey, TheNextTokenIsPartOfTheKeyOfThePageBeforeIt) {
  std::vector<TokenId> tokens = counting(65);
  const PageKey before = keys_of(tokens)[0];
  tokens[64] += 1;
  EXPECT_NE(keys_of(tokens)[0], before);
}

TEST(PageKey, ExtendingInPiecesGivesTheSameChain) {
  const std::vector<TokenId> tokens = counting(400);
  PageKeyChain chain("salt");
  for (size_t known = 0; known <= tokens.size(); known += 7) {
    chain.extend(std::span(tokens).first(known));
  }
  chain.extend(tokens);
  const std::vector<PageKey> whole = keys_of(tokens, "salt");
  EXPECT_TRUE(std::equal(whole.begin(), whole.end(), chain.keys().begin(), chain.keys().end()));
}

// The bytes that are hashed are part of no file format, but a change of them is never meant.
TEST(PageKey, IsSha256) {
  EXPECT_EQ(root_key("").digest[0], 0xe3);  // of the empty string: e3b0c442…
  EXPECT_EQ(root_key("").digest[1], 0xb0);
  EXPECT_EQ(root_key("abc").digest[0], 0xba);  // FIPS 180-2: ba7816bf…
  EXPECT_EQ(root_key("abc").digest[1], 0x78);
}

}  // namespace
}  // namespace hadal
