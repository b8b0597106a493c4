#include "hadal/text/detokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "hadal/base/utf8.h"
#include "text/tokenizer_files.h"

namespace hadal {
namespace {

// Ids of the 256 bytes are the bytes themselves.
const Tokenizer& bytes_only() {
  static const Tokenizer tokenizer = [] {
    nlohmann::json root = test::bytes_only_json();
    test::add_token(root, "<special>", true);
    test::add_token(root, "<kept>", false);
    return Tokenizer::parse(test::files_of(root)).value();
  }();
  return tokenizer;
}

std::vector<TokenId> bytes(std::string_view text) {
  std::vector<TokenId> ids;
  for (const char byte : text) ids.push_back(static_cast<uint8_t>(byte));
  return ids;
}

// What each token makes visible, and last what finish() does.
std::vector<std::string> stream(std::span<const TokenId> tokens, bool skip_special = true) {
  std::vector<std::string> deltas;
  Detokenizer detokenizer(bytes_only(), skip_special);
  for (const TokenId token : tokens) detokenizer.append(token, deltas.emplace_back());
  detokenizer.finish(deltas.emplace_back());
  return deltas;
}

std::string joined(const std::vector<std::string>& deltas) {
  std::string text;
  for (const std::string& delta : deltas) text += delta;
  return text;
}

using Deltas = std::vector<std::string>;

TEST(Detokenizer, HoldsBackOnlyAnUnfinishedCharacter) {
  EXPECT_EQ(stream(bytes("a🎉b")), (Deltas{"a", "", "", "", "🎉", "b", ""}));
  EXPECT_EQ(stream(bytes("é日")), (Deltas{"", "é", "", "", "日", ""}));
  EXPECT_EQ(stream({}), (Deltas{""}));
}

TEST(Detokenizer, GivesOneReplacementPerMaximalInvalidPartAtOnce) {
  EXPECT_EQ(stream(bytes("\xff")), (Deltas{"\uFFFD", ""}));
  EXPECT_EQ(stream(bytes("\xf0\x9f\x8e")), (Deltas{"", "", "", "\uFFFD"}));
  EXPECT_EQ(stream(bytes("\xf0\x9f"
                         "a")),
            (Deltas{"", "", "\uFFFDa", ""}));
  EXPECT_EQ(stream(bytes("\xe2\x82\xe2\x82\xac")), (Deltas{"", "", "\uFFFD", "", "€", ""}));
  EXPECT_EQ(stream(bytes("\xed\xa0\x80")), (Deltas{"", "\uFFFD\uFFFD", "\uFFFD", ""}));
}

TEST(Detokenizer, AReplacementCharacterThatWasWrittenIsNotHeldBack) {
  EXPECT_EQ(stream(bytes("\uFFFD")), (Deltas{"", "", "\uFFFD", ""}));
}

TEST(Detokenizer, SkipsSpecialTokensAndOnlyThose) {
  const TokenId special = *bytes_only().find_added_token("<special>");
  const TokenId kept = *bytes_only().find_added_token("<kept>");
  const std::vector<TokenId> tokens = {'a', special, kept, 'b'};
  EXPECT_EQ(stream(tokens, true), (Deltas{"a", "", "<kept>", "b", ""}));
  EXPECT_EQ(stream(tokens, false), (Deltas{"a", "<special>", "<kept>", "b", ""}));
}

TEST(Detokenizer, UnknownIdsAreNoText) {
  for (const TokenId id : {kNoToken, bytes_only().vocab_size(), TokenId{2'000'000}}) {
    EXPECT_EQ(stream(std::vector<TokenId>{id}), (Deltas{"", ""}));
  }
}

// Any bytes: valid text, and sequences that a model should never emit. Whatever the tokens, the
// stream is valid UTF-8 after every token and equals the batch.
TEST(Detokenizer, StreamEqualsBatchForRandomBytes) {
  constexpr uint32_t kSeed = 5;
  std::mt19937 random(kSeed);
  const std::string_view likely =
      "a\x80\xbf\xc2\xe0\xa0\xe2\x82\xac\xed\x9f\xf0\x9f\x8e\x89\xf4\xff";
  std::uniform_int_distribution<size_t> pick(0, likely.size() - 1);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<TokenId> tokens(random() % 12);
    for (TokenId& token : tokens) token = static_cast<uint8_t>(likely[pick(random)]);
    const Deltas deltas = stream(tokens);
    for (const std::string& delta : deltas) {
      ASSERT_EQ(find_invalid_utf8(delta), std::string::npos);
    }
    ASSERT_EQ(joined(deltas), decode(bytes_only(), tokens, true)) << "seed " << kSeed;
  }
}

TEST(Detokenizer, StreamEqualsBatchForEverySplitOfTheBundledModelsText) {
  const std::string text = "naïve 日本語 🎉👩‍🔬 <think>\n√2 ≈ 1.41</think>\n";
  const std::vector<TokenId> tokens =
      test::tiny_r1().encode(text, {.add_bos = true, .parse_special = true}).value();
  for (size_t split = 0; split <= tokens.size(); ++split) {
    std::string streamed;
    Detokenizer detokenizer(test::tiny_r1(), true);
    for (size_t i = 0; i < tokens.size(); ++i) {
      detokenizer.append(tokens[i], streamed);
      if (i + 1 == split) detokenizer.finish(streamed);
    }
    detokenizer.finish(streamed);
    const std::span<const TokenId> all(tokens);
    EXPECT_EQ(streamed, decode(test::tiny_r1(), all.first(split), true) +
                            decode(test::tiny_r1(), all.subspan(split), true));
  }
  EXPECT_EQ(decode(test::tiny_r1(), tokens, true), text);
}

}  // namespace
}  // namespace hadal
