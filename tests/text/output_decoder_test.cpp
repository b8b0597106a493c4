#include "hadal/text/output_decoder.h"

#include <gtest/gtest.h>

#include <random>
#include <sstream>

#include "hadal/base/utf8.h"
#include "text/tokenizer_files.h"

namespace hadal {
namespace {

using Ids = std::vector<TokenId>;

Ids encode(const std::string& text) {
  return test::tiny_r1().encode(text, {.parse_special = true}).value();
}

OutputOptions options(std::vector<std::string> stops = {}) {
  return {.stop = {.stop_strings = std::move(stops)},
          .reasoning = {{.markers = ReasoningMarkers::find(test::tiny_r1()).value()}}};
}

struct Output {
  SplitText text;
  std::optional<StopMatch> stop;
  size_t tokens = 0;
  size_t reasoning_tokens = 0;
};

// Gives the tokens in steps of `step`.
Output run(const OutputOptions& output_options, const Ids& tokens, size_t step) {
  OutputDecoder decoder = OutputDecoder::create(test::tiny_r1(), output_options).value();
  Output output;
  for (std::span<const TokenId> rest(tokens); !rest.empty();) {
    const size_t count = std::min(step, rest.size());
    decoder.append(rest.first(count), output.text);
    rest = rest.subspan(count);
  }
  decoder.finish(output.text);
  output.stop = decoder.stop_match();
  output.tokens = decoder.tokens();
  output.reasoning_tokens = decoder.reasoning_tokens();
  return output;
}

void expect_same(const Output& a, const Output& b) {
  EXPECT_EQ(a.text.reasoning, b.text.reasoning);
  EXPECT_EQ(a.text.content, b.text.content);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.reasoning_tokens, b.reasoning_tokens);
  EXPECT_EQ(a.stop.has_value(), b.stop.has_value());
}

TEST(OutputDecoder, WithoutReasoningAllTextIsContent) {
  const Output output = run({}, encode("<think>\na</think>\n\nb"), 1);
  EXPECT_EQ(output.text.reasoning, "");
  EXPECT_EQ(output.text.content, "<think>\na</think>\n\nb");
  EXPECT_EQ(output.reasoning_tokens, 0u);
}

TEST(OutputDecoder, AStopStringMayLieInTheReasoning) {
  const Ids tokens = encode("<think>\none two three</think>\n\nfour");
  for (const size_t step : {1, 4, 100}) {
    const Output output = run(options({"two"}), tokens, step);
    EXPECT_EQ(output.text.reasoning, "one ");
    EXPECT_EQ(output.text.content, "");
    ASSERT_TRUE(output.stop.has_value());
    EXPECT_EQ(output.tokens, output.stop->tokens);
    EXPECT_EQ(output.reasoning_tokens, output.tokens);
    EXPECT_EQ(decode(test::tiny_r1(), std::span(tokens).first(output.tokens), true),
              "<think>\none two");
  }
}

TEST(OutputDecoder, TextHeldForAStopStringStillFindsItsPart) {
  // The stop string could begin with the reasoning's end, so the marker itself is held back.
  const Output output = run(options({"r</think>\n\nX"}), encode("<think>\nr</think>\n\nY"), 1);
  EXPECT_EQ(output.text.reasoning, "r");
  EXPECT_EQ(output.text.content, "Y");
  const Output stopped = run(options({"</think>\n\nX"}), encode("<think>\nr</think>\n\nXY"), 1);
  EXPECT_EQ(stopped.text.reasoning, "r");
  EXPECT_EQ(stopped.text.content, "");
  EXPECT_TRUE(stopped.stop.has_value());
}

TEST(OutputDecoder, AnUnfinishedCharacterBeforeAMarkerIsReplaced) {
  Ids tokens = encode("<think>");
  const Ids emoji = encode("🎉");
  tokens.insert(tokens.end(), emoji.begin(), emoji.end() - 1);
  for (const TokenId id : encode("</think>ok")) tokens.push_back(id);
  const Output output = run(options(), tokens, 1);
  EXPECT_EQ(output.text.reasoning, "\uFFFD");
  EXPECT_EQ(output.text.content, "ok");
}

TEST(OutputDecoder, SkipsSpecialTokensOnRequest) {
  const Ids tokens = encode("a<|EOT|>b");
  EXPECT_EQ(run(options(), tokens, 1).text.content, "ab");
  OutputOptions keep = options();
  keep.skip_special_tokens = false;
  EXPECT_EQ(run(keep, tokens, 1).text.content, "a<|EOT|>b");
}

// Every gold completion of the evaluation sets: `<think>\n…\n</think>\n\nanswer`.
TEST(OutputDecoder, SplitsEveryGoldCompletionOfTheEvaluationSets) {
  size_t completions = 0;
  for (const char* set : {"arith_easy", "arith_medium", "arith_hard", "arith_extreme", "chat",
                          "multiturn", "smalltalk", "tools"}) {
    std::istringstream lines(test::read_text("tests/eval/" + std::string(set) + ".jsonl"));
    for (std::string line; std::getline(lines, line); ++completions) {
      const auto gold = nlohmann::json::parse(line)["gold_completion"].get<std::string>();
      const std::string open = "<think>\n";
      const std::string close = "</think>\n\n";
      ASSERT_TRUE(gold.starts_with(open)) << gold;
      const size_t end = gold.find(close);
      ASSERT_NE(end, std::string::npos) << gold;

      const Ids tokens = encode(gold);
      const Output output = run(options(), tokens, 1);
      EXPECT_EQ(output.text.reasoning, gold.substr(open.size(), end - open.size()));
      EXPECT_EQ(output.text.content, gold.substr(end + close.size()));
      EXPECT_EQ(decode(test::tiny_r1(), std::span(tokens).first(output.reasoning_tokens), true),
                gold.substr(0, end + std::string("</think>").size()));
      if (completions % 16 == 0) expect_same(run(options(), tokens, 4), output);
    }
  }
  EXPECT_EQ(completions, 2688u);
}

// Whatever a model emits, in whatever steps, the same comes out, and it is valid UTF-8.
TEST(OutputDecoder, RandomTokensInAnyStepsGiveTheSame) {
  constexpr uint32_t kSeed = 17;
  std::mt19937 random(kSeed);
  const TokenId vocab_size = test::tiny_r1().vocab_size();
  const std::vector<std::string> stops = {"the", "\n\n", "\uFFFD\uFFFD", "</think>"};
  for (int i = 0; i < 3'000; ++i) {
    Ids tokens(random() % 24);
    for (TokenId& token : tokens) {
      const auto any = static_cast<TokenId>(random());
      const TokenId choices[] = {3 + any % 256, 1920 + any % 2, any % vocab_size, 201, 290};
      token = std::abs(choices[random() % std::size(choices)]);
    }
    OutputOptions some = options();
    some.reasoning->start = std::vector{ReasoningStart::kOpen, ReasoningStart::kClosed,
                                        ReasoningStart::kByOutput}[random() % 3];
    some.stop.include_stop_string = random() % 2 == 0;
    for (const std::string& stop : stops) {
      if (random() % 3 == 0) some.stop.stop_strings.push_back(stop);
    }
    const Output one = run(some, tokens, 1);
    EXPECT_EQ(find_invalid_utf8(one.text.reasoning), std::string::npos);
    EXPECT_EQ(find_invalid_utf8(one.text.content), std::string::npos);
    expect_same(run(some, tokens, 2 + random() % 6), one);
    if (HasFailure()) FAIL() << "seed " << kSeed << ", case " << i;
  }
}

}  // namespace
}  // namespace hadal
