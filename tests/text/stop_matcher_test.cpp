#include "hadal/text/stop_matcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace hadal {
namespace {

using testing::ElementsAre;
using Texts = std::vector<std::string>;

struct Shown {
  Texts deltas;  // one per token, and last what finish() shows
  std::optional<StopMatch> match;

  std::string all() const {
    std::string text;
    for (const std::string& delta : deltas) text += delta;
    return text;
  }
};

Shown run(const Texts& stops, const Texts& tokens, bool include = false) {
  StopMatcher matcher =
      StopMatcher::create({.stop_strings = stops, .include_stop_string = include}).value();
  Shown shown;
  for (size_t i = 0; i < tokens.size(); ++i) {
    matcher.append(tokens[i], i + 1, shown.deltas.emplace_back());
  }
  matcher.finish(shown.deltas.emplace_back());
  shown.match = matcher.match();
  return shown;
}

void expect_match(const Shown& shown, size_t index, size_t tokens) {
  ASSERT_TRUE(shown.match.has_value());
  EXPECT_EQ(shown.match->index, index);
  EXPECT_EQ(shown.match->tokens, tokens);
}

TEST(StopMatcher, WithoutStopStringsEverythingPasses) {
  const Shown shown = run({}, {"a", "", "b"});
  EXPECT_THAT(shown.deltas, ElementsAre("a", "", "b", ""));
  EXPECT_FALSE(shown.match);
}

TEST(StopMatcher, StopsInsideAToken) {
  const Shown shown = run({"END"}, {"one", " twoENDthree", "four"});
  EXPECT_THAT(shown.deltas, ElementsAre("one", " two", "", ""));
  expect_match(shown, 0, 2);
}

TEST(StopMatcher, StopsAcrossTokensAndHoldsBackOnlyWhatCouldBegin) {
  const Shown shown = run({"\nUser:"}, {"a", "\n", "Us", "er", ":", "x"});
  EXPECT_THAT(shown.deltas, ElementsAre("a", "", "", "", "", "", ""));
  expect_match(shown, 0, 5);

  const Shown not_a_stop = run({"\nUser:"}, {"a", "\n", "Us", "a", "\n"});
  EXPECT_THAT(not_a_stop.deltas, ElementsAre("a", "", "", "\nUsa", "", "\n"));
  EXPECT_FALSE(not_a_stop.match);
}

TEST(StopMatcher, FallsBackToAShorterBeginning) {
  const Shown shown = run({"aab"}, {"a", "a", "a", "b"});
  EXPECT_THAT(shown.deltas, ElementsAre("", "", "a", "", ""));
  expect_match(shown, 0, 4);
  expect_match(run({"abcabd"}, {"abcabcabd"}), 0, 1);
}

TEST(StopMatcher, TheStopStringIsKeptOnRequest) {
  const Shown shown = run({"END"}, {"E", "ND", "x"}, true);
  EXPECT_THAT(shown.deltas, ElementsAre("E", "ND", "", ""));
  expect_match(shown, 0, 2);
  EXPECT_EQ(run({"END"}, {"aENDb"}, true).all(), "aEND");
}

TEST(StopMatcher, TheMatchThatEndsFirstWins) {
  const Shown shown = run({"abcd", "bc"}, {"xabcd"});
  expect_match(shown, 1, 1);
  EXPECT_EQ(shown.all(), "xa");
}

TEST(StopMatcher, OfMatchesThatEndTogetherTheLongestWins) {
  const Shown shown = run({"c", "abc", "bc", "abc"}, {"xabc"});
  expect_match(shown, 1, 1);
  EXPECT_EQ(shown.all(), "x");
}

TEST(StopMatcher, RefusesWhatItCannotMatch) {
  const auto refused = [](Texts stops) {
    const auto matcher = StopMatcher::create({.stop_strings = std::move(stops)});
    return matcher.ok() ? ErrorCode::kInternal : matcher.error().code;
  };
  EXPECT_EQ(refused({"a", ""}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({"\xff"}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({std::string(StopStringLimits::kBytesMax + 1, 'a')}), ErrorCode::kTooLarge);
  EXPECT_EQ(refused(Texts(StopStringLimits::kStringsMax + 1, "a")), ErrorCode::kTooLarge);
  EXPECT_TRUE(
      StopMatcher::create({.stop_strings = Texts(StopStringLimits::kStringsMax,
                                                 std::string(StopStringLimits::kBytesMax, 'a'))})
          .ok());
}

// The definition, on the whole text at once.
std::string cut_naively(const Texts& stops, const std::string& text, bool include,
                        std::optional<size_t>& index) {
  for (size_t end = 1; end <= text.size(); ++end) {
    for (size_t i = 0; i < stops.size(); ++i) {
      const bool ends_here = std::string_view(text).substr(0, end).ends_with(stops[i]);
      if (ends_here && (!index || stops[i].size() > stops[*index].size())) index = i;
    }
    if (index) return text.substr(0, include ? end : end - stops[*index].size());
  }
  return text;
}

TEST(StopMatcher, AnyCutIntoTokensGivesTheDefinition) {
  constexpr uint32_t kSeed = 3;
  std::mt19937 random(kSeed);
  const auto word = [&](size_t size) {
    std::string text(size, 'a');
    for (char& c : text) c = "ab"[random() % 2];
    return text;
  };
  for (int i = 0; i < 5'000; ++i) {
    Texts stops(1 + random() % 3);
    for (std::string& stop : stops) stop = word(1 + random() % 6);
    const std::string text = word(random() % 20);
    const bool include = i % 2 == 0;
    Texts tokens;
    for (size_t at = 0; at < text.size();) {
      const size_t size = random() % 4;
      tokens.push_back(text.substr(at, size));
      at += size;
    }
    std::optional<size_t> index;
    const std::string want = cut_naively(stops, text, include, index);
    const Shown shown = run(stops, tokens, include);
    ASSERT_EQ(shown.all(), want) << "seed " << kSeed;
    ASSERT_EQ(shown.match.has_value(), index.has_value());
    if (index) {
      ASSERT_EQ(shown.match->index, *index);
    }
  }
}

}  // namespace
}  // namespace hadal
