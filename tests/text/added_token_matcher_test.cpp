#include "text/added_token_matcher.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace hadal {
namespace {

TEST(AddedTokenMatcher, FindsNothingWithoutTokens) {
  EXPECT_FALSE(AddedTokenMatcher().find("abc", 0).has_value());
}

TEST(AddedTokenMatcher, AgreesWithTheDefinitionOnRandomTexts) {
  constexpr uint32_t kSeed = 23;
  std::mt19937 random(kSeed);
  const auto word = [&](size_t size) {
    std::string text(size, 'a');
    for (char& c : text) c = "ab\xff"[random() % 3];
    return text;
  };
  for (int i = 0; i < 3'000; ++i) {
    AddedTokenMatcher matcher;
    std::map<std::string, TokenId> tokens;
    for (TokenId id = 0; id < 4; ++id) {
      const std::string content = word(1 + random() % 4);
      if (tokens.emplace(content, id).second) matcher.add(content, id);
    }
    const std::string text = word(random() % 12);
    for (size_t from = 0; from <= text.size(); ++from) {
      std::optional<AddedTokenMatcher::Match> want;
      for (size_t begin = from; begin < text.size() && !want; ++begin) {
        for (const auto& [content, id] : tokens) {
          const size_t end = begin + content.size();
          if (text.compare(begin, content.size(), content) != 0) continue;
          if (!want || end > want->end) want = {begin, end, id};
        }
      }
      const auto got = matcher.find(text, from);
      ASSERT_EQ(got.has_value(), want.has_value()) << "seed " << kSeed;
      if (!want) continue;
      ASSERT_EQ(got->begin, want->begin);
      ASSERT_EQ(got->end, want->end);
      ASSERT_EQ(got->id, want->id);
    }
  }
}

}  // namespace
}  // namespace hadal
