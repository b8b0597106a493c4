#include "server/choice_decoder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "server/tiny_tokenizer.h"

namespace hadal {
namespace {

ChoiceDecoder make(OutputOptions options = {}) {
  auto decoder = ChoiceDecoder::create(tiny_tokenizer(), std::move(options), 2);
  EXPECT_TRUE(decoder.ok());
  return std::move(decoder).value();
}

OutputEvent event_of(const std::vector<TokenId>& tokens) {
  EXPECT_LE(tokens.size(), OutputEvent{}.tokens.size());
  OutputEvent event{.count = static_cast<int32_t>(tokens.size())};
  std::ranges::copy(tokens, event.tokens.begin());
  return event;
}

TEST(ChoiceDecoder, TheEosIsNoTextAndNoStopReason) {
  ChoiceDecoder decoder = make({.skip_special_tokens = false});
  auto tokens = tokens_of("hi");
  tokens.push_back(tiny_tokenizer().eos_id());
  OutputEvent event = event_of(tokens);
  event.end = true;
  event.stop_token = tiny_tokenizer().eos_id();
  const ChoiceUpdate update = decoder.consume(event);
  EXPECT_EQ(update.choice, 2);
  EXPECT_EQ(update.content, "hi");
  EXPECT_EQ(update.completion_tokens, static_cast<int64_t>(tokens.size()));
  ASSERT_TRUE(update.end.has_value());
  EXPECT_TRUE(std::holds_alternative<std::monostate>(update.end->stop_reason));
}

TEST(ChoiceDecoder, AStopTokenIsTextOnlyOnRequest) {
  for (const bool include : {false, true}) {
    ChoiceDecoder decoder = make({.stop = {.include_stop_string = include}});
    const auto tokens = tokens_of("hi!");
    OutputEvent event = event_of(tokens);
    event.end = true;
    event.stop_token = tokens.back();
    const ChoiceUpdate update = decoder.consume(event);
    EXPECT_EQ(update.content.ends_with('!'), include);
    EXPECT_EQ(std::get<TokenId>(update.end->stop_reason), tokens.back());
  }
}

TEST(ChoiceDecoder, ALengthEndKeepsItsLastToken) {
  ChoiceDecoder decoder = make();
  OutputEvent event = event_of(tokens_of("hi!"));
  event.end = true;
  event.reason = FinishReason::kLength;
  EXPECT_EQ(decoder.consume(event).content, "hi!");
}

TEST(ChoiceDecoder, AStopStringDecidesEvenWhereTheEngineEnded) {
  ChoiceDecoder decoder = make({.stop = {.stop_strings = {"b"}}});
  const auto tokens = tokens_of("abc");
  OutputEvent event = event_of(tokens);
  event.end = true;
  event.reason = FinishReason::kLength;
  event.usage.completion_tokens = static_cast<int64_t>(tokens.size());
  const ChoiceUpdate update = decoder.consume(event);
  EXPECT_EQ(update.content, "a");
  EXPECT_EQ(update.end->reason, FinishReason::kStop);
  EXPECT_EQ(std::get<std::string>(update.end->stop_reason), "b");
  EXPECT_EQ(update.end->usage.completion_tokens, decoder.matched_at());
  EXPECT_LE(*decoder.matched_at(), static_cast<int64_t>(tokens.size()));
}

TEST(ChoiceDecoder, NothingFollowsAMatch) {
  ChoiceDecoder decoder = make({.stop = {.stop_strings = {"x"}}});
  EXPECT_EQ(decoder.consume(event_of(tokens_of("ax"))).content, "a");
  const int64_t matched = *decoder.matched_at();
  const ChoiceUpdate later = decoder.consume(event_of(tokens_of("bcd")));
  EXPECT_EQ(later.content, "");
  EXPECT_EQ(later.completion_tokens, matched);
}

}  // namespace
}  // namespace hadal
