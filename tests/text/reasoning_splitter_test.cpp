#include "hadal/text/reasoning_splitter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/tokenizer_files.h"

namespace hadal {
namespace {

constexpr ReasoningMarkers kMarkers = {.open = 1, .close = 2};
constexpr TokenId kOrdinary = 3;

struct Token {
  TokenId id;
  std::string text;
};

const Token kOpen = {1, "<think>"};
const Token kClose = {2, "</think>"};
Token text(std::string content) {
  return {kOrdinary, std::move(content)};
}

struct Split {
  SplitText text;
  size_t reasoning_tokens = 0;
};

// Observes all tokens, then gives the text in chunks of `chunk` bytes; `observe_ahead` false gives
// each token's text at once instead.
Split split(ReasoningStart start, const std::vector<Token>& tokens, size_t chunk = SIZE_MAX) {
  ReasoningSplitter splitter(kMarkers, start);
  Split result;
  std::string all;
  for (const Token& token : tokens) {
    all += token.text;
    splitter.observe(token.id, token.text.size(), all.size());
  }
  for (size_t at = 0; at < all.size(); at += std::min(chunk, all.size() - at)) {
    splitter.append(std::string_view(all).substr(at, chunk), result.text);
  }
  splitter.append("", result.text);
  splitter.finish(result.text);
  result.reasoning_tokens = splitter.reasoning_tokens();
  return result;
}

void expect_split(ReasoningStart start, const std::vector<Token>& tokens,
                  std::string_view reasoning, std::string_view content, size_t reasoning_tokens) {
  for (const size_t chunk : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{8}, SIZE_MAX}) {
    const Split got = split(start, tokens, chunk);
    EXPECT_EQ(got.text.reasoning, reasoning) << "chunks of " << chunk;
    EXPECT_EQ(got.text.content, content) << "chunks of " << chunk;
    EXPECT_EQ(got.reasoning_tokens, reasoning_tokens);
  }
}

TEST(ReasoningSplitter, SplitsTheUsualOutputWhoeverOpensTheBlock) {
  const std::vector<Token> body = {text("\nadd\n"), kClose, text("\n\n"), text("2\n")};
  expect_split(ReasoningStart::kOpen, body, "add\n", "2\n", 2);
  std::vector<Token> whole = {kOpen};
  whole.insert(whole.end(), body.begin(), body.end());
  expect_split(ReasoningStart::kByOutput, whole, "add\n", "2\n", 3);
  expect_split(ReasoningStart::kOpen, whole, "add\n", "2\n", 3);
}

TEST(ReasoningSplitter, WithoutACloseEverythingIsReasoning) {
  expect_split(ReasoningStart::kOpen, {text("still thinking")}, "still thinking", "", 1);
  expect_split(ReasoningStart::kByOutput, {kOpen, text("\nstill")}, "still", "", 2);
  expect_split(ReasoningStart::kByOutput, {kOpen}, "", "", 1);
}

TEST(ReasoningSplitter, AnAnswerWithoutAThinkBlockIsContent) {
  expect_split(ReasoningStart::kByOutput, {text("Hi"), text(" there")}, "", "Hi there", 0);
  expect_split(ReasoningStart::kByOutput, {text("\n\n"), text(" {}")}, "", " {}", 0);
  expect_split(ReasoningStart::kByOutput, {}, "", "", 0);
  expect_split(ReasoningStart::kByOutput, {text(" \n")}, "", " \n", 0);
}

TEST(ReasoningSplitter, BlanksBeforeTheBlockBelongToNobody) {
  expect_split(ReasoningStart::kByOutput, {text("\n "), kOpen, text("r"), kClose, text("c")}, "r",
               "c", 4);
  expect_split(ReasoningStart::kByOutput, {text("\n"), kClose, text("\n\nc")}, "", "c", 0);
}

TEST(ReasoningSplitter, BlanksAreHeldBackUpToALimit) {
  const std::string at_limit(ReasoningSplitter::kBlankBytesMax, ' ');
  expect_split(ReasoningStart::kByOutput, {text(at_limit), kOpen, text("r")}, "r", "", 3);
  const std::string over = at_limit + " ";
  expect_split(ReasoningStart::kByOutput, {text(over), kOpen, text("r")}, "", over + "<think>r", 0);
}

TEST(ReasoningSplitter, MarkersInContentStayText) {
  expect_split(ReasoningStart::kClosed, {text("a"), kOpen, text("b"), kClose}, "",
               "a<think>b</think>", 0);
  expect_split(ReasoningStart::kByOutput, {text("a"), kClose, text("\n\nb")}, "", "a</think>\n\nb",
               0);
  expect_split(ReasoningStart::kOpen, {text("r"), kClose, text("a"), kClose, text("b")}, "r",
               "a</think>b", 2);
}

TEST(ReasoningSplitter, ASecondOpeningMarkerInReasoningIsDropped) {
  expect_split(ReasoningStart::kByOutput, {kOpen, text("a"), kOpen, text("b"), kClose, text("c")},
               "ab", "c", 5);
}

TEST(ReasoningSplitter, MarkersSpelledInOrdinaryTokensAreText) {
  expect_split(ReasoningStart::kByOutput,
               {kOpen, text("it ends with </think>"), text("."), kClose, text("<think>")},
               "it ends with </think>.", "<think>", 4);
}

TEST(ReasoningSplitter, MarkersWithoutTextStillDivide) {
  expect_split(ReasoningStart::kByOutput, {{1, ""}, text("r"), {2, ""}, text("c")}, "r", "c", 3);
}

TEST(ReasoningSplitter, TheStartFollowsFromThePromptsLastAddedToken) {
  const Tokenizer& tokenizer = test::tiny_r1();
  const ReasoningMarkers markers = ReasoningMarkers::find(tokenizer).value();
  const auto start = [&](const std::string& prompt) {
    const auto ids = tokenizer.encode(prompt, {.add_bos = true, .parse_special = true});
    return reasoning_start(tokenizer, markers, *ids);
  };
  EXPECT_EQ(start("<｜User｜>x<｜Assistant｜>"), ReasoningStart::kByOutput);
  EXPECT_EQ(start("<｜User｜>x<｜Assistant｜><think>\n"), ReasoningStart::kOpen);
  EXPECT_EQ(start("<｜User｜>x<｜Assistant｜><think>\n</think>\n\n"), ReasoningStart::kClosed);
  EXPECT_EQ(start("a</think>b<｜User｜>x<｜Assistant｜>"), ReasoningStart::kByOutput);
  EXPECT_EQ(reasoning_start(tokenizer, markers, {}), ReasoningStart::kByOutput);
}

TEST(ReasoningMarkers, ATokenizerWithoutThemIsRefused) {
  const Tokenizer tokenizer = Tokenizer::parse(test::files_of(test::bytes_only_json())).value();
  const auto markers = ReasoningMarkers::find(tokenizer);
  ASSERT_FALSE(markers.ok());
  EXPECT_EQ(markers.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace hadal
