#include "hadal/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "hadal/base/utf8.h"
#include "hadal/text/detokenizer.h"
#include "text/tokenizer_files.h"

namespace hadal {
namespace {

using testing::HasSubstr;
using Ids = std::vector<TokenId>;

Ids encode(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  return tokenizer.encode(text, options).value();
}

std::string bytes_of(const Tokenizer& tokenizer, const Ids& ids) {
  std::string bytes;
  for (const TokenId id : ids) bytes += tokenizer.token_bytes(id);
  return bytes;
}

Ids added_tokens(const Tokenizer& tokenizer) {
  Ids ids;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_added(id)) ids.push_back(id);
  }
  return ids;
}

bool has_added_token(const Tokenizer& tokenizer, const Ids& ids) {
  return std::ranges::any_of(ids, [&](TokenId id) { return tokenizer.is_added(id); });
}

TEST(Tokenizer, KnowsTheBundledModelsTokens) {
  const Tokenizer& tokenizer = test::tiny_r1();
  EXPECT_EQ(tokenizer.vocab_size(), 1952);
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_TRUE(tokenizer.config().add_bos_token);
  EXPECT_EQ(tokenizer.find_added_token("<think>"), 1920);
  EXPECT_EQ(tokenizer.find_added_token("<thin"), std::nullopt);
  EXPECT_EQ(added_tokens(tokenizer).size(), 35u);
  EXPECT_TRUE(tokenizer.is_special(0));
  EXPECT_FALSE(tokenizer.is_special(1920));
  EXPECT_FALSE(tokenizer.is_added(258));
}

TEST(Tokenizer, AddsBosWhereAskedAndWhereTheCheckpointWantsIt) {
  EXPECT_EQ(encode(test::tiny_r1(), "", {.add_bos = true}), (Ids{0}));
  EXPECT_EQ(encode(test::tiny_r1(), ""), (Ids{}));

  TokenizerFiles files = test::tiny_r1_files();
  nlohmann::json config = nlohmann::json::parse(files.tokenizer_config_json);
  config["add_bos_token"] = false;
  files.tokenizer_config_json = config.dump();
  const Tokenizer without = Tokenizer::parse(files).value();
  EXPECT_EQ(encode(without, "", {.add_bos = true}), (Ids{}));
}

TEST(Tokenizer, EveryTokenAloneComesBackByteForByte) {
  const Tokenizer& tokenizer = test::tiny_r1();
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string bytes(tokenizer.token_bytes(id));
    if (find_invalid_utf8(bytes) != std::string::npos) {
      EXPECT_FALSE(tokenizer.encode(bytes, {}).ok());
      continue;
    }
    const Ids ids = encode(tokenizer, bytes, {.parse_special = true});
    EXPECT_EQ(ids, (Ids{id})) << bytes;
    EXPECT_EQ(decode(tokenizer, ids, false), bytes);
  }
}

// Special-token text in input that must not be parsed becomes ordinary tokens, and comes back.
TEST(Tokenizer, NoAddedTokenComesFromTextUnlessAskedFor) {
  const Tokenizer& tokenizer = test::tiny_r1();
  std::string all;
  for (const TokenId id : added_tokens(tokenizer)) {
    const std::string token(tokenizer.token_bytes(id));
    all += token;
    for (const std::string& text : {token, token + token, "a" + token + "b", " " + token + "\n",
                                    token.substr(1), "<" + token, "1" + token + "1"}) {
      const Ids ids = encode(tokenizer, text);
      EXPECT_FALSE(has_added_token(tokenizer, ids)) << text;
      EXPECT_EQ(bytes_of(tokenizer, ids), text);
    }
  }
  EXPECT_FALSE(has_added_token(tokenizer, encode(tokenizer, all)));
  EXPECT_EQ(encode(tokenizer, all, {.parse_special = true}), added_tokens(tokenizer));
}

TEST(Tokenizer, MatchesAddedTokensLeftmostLongest) {
  nlohmann::json root = test::bytes_only_json();
  const TokenId a = test::add_token(root, "<a>");
  const TokenId ab = test::add_token(root, "<a><b>");
  const TokenId b = test::add_token(root, "<b>");
  const Tokenizer tokenizer = Tokenizer::parse(test::files_of(root)).value();
  const EncodeOptions parse = {.parse_special = true};
  EXPECT_EQ(encode(tokenizer, "<a><b>", parse), (Ids{ab}));
  EXPECT_EQ(encode(tokenizer, "<a><b", parse), (Ids{a, '<', 'b'}));
  EXPECT_EQ(encode(tokenizer, "<<a>x<b>", parse), (Ids{'<', a, 'x', b}));
}

// The tokenizers library searches for tokens with normalized=false in the whole text first.
TEST(Tokenizer, TokensWithoutNormalizationAreFoundFirst) {
  nlohmann::json root = test::bytes_only_json();
  test::add_token(root, "ab", false, true);
  const TokenId bc = test::add_token(root, "bc", false, false);
  const Tokenizer tokenizer = Tokenizer::parse(test::files_of(root)).value();
  EXPECT_EQ(encode(tokenizer, "abc", {.parse_special = true}), (Ids{'a', bc}));
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  for (const std::string text : {"\xff", "ab\xc0\x80", "\xed\xa0\x80", "a\xe2\x82"}) {
    const auto ids = test::tiny_r1().encode(text, {});
    ASSERT_FALSE(ids.ok());
    EXPECT_EQ(ids.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(ids.error().message, HasSubstr("not valid UTF-8 at byte"));
  }
  EXPECT_EQ(bytes_of(test::tiny_r1(), encode(test::tiny_r1(), std::string("\0a\0", 3))),
            std::string("\0a\0", 3));
}

TEST(Tokenizer, LimitsTheTextOfOneCall) {
  std::string text(TokenizerLimits::kTextBytesMax, '1');
  const Ids ids = encode(test::tiny_r1(), text);
  EXPECT_EQ(ids.size(), text.size());  // no merge joins digits
  text += '1';
  const auto refused = test::tiny_r1().encode(text, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
}

TEST(Tokenizer, KnowsItsLongestToken) {
  size_t longest = 0;
  for (TokenId id = 0; id < test::tiny_r1().vocab_size(); ++id) {
    longest = std::max(longest, test::tiny_r1().token_bytes(id).size());
  }
  EXPECT_EQ(test::tiny_r1().token_bytes_max(), longest);
}

TEST(Tokenizer, WholePiecesAreNotMergedWhereTheFileSaysSo) {
  nlohmann::json root = test::bytes_only_json();
  root["model"]["vocab"]["abc"] = 256;  // no merge makes it
  const std::string text = "abc abc";
  EXPECT_EQ(encode(Tokenizer::parse(test::files_of(root)).value(), text),
            (Ids{'a', 'b', 'c', ' ', 'a', 'b', 'c'}));
  root["model"]["ignore_merges"] = true;
  EXPECT_EQ(encode(Tokenizer::parse(test::files_of(root)).value(), text),
            (Ids{256, ' ', 'a', 'b', 'c'}));
}

TEST(Tokenizer, BothMergeSpellingsMeanTheSame) {
  TokenizerFiles files = test::tiny_r1_files();
  nlohmann::json root = nlohmann::json::parse(files.tokenizer_json);
  ASSERT_TRUE(root["model"]["merges"][0].is_array());
  for (nlohmann::json& merge : root["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  files.tokenizer_json = root.dump();
  const Tokenizer tokenizer = Tokenizer::parse(files).value();
  const nlohmann::json golden = test::read_json("tests/golden/tokenizer_vectors.json");
  for (const nlohmann::json& vector : golden["cases"]) {
    const auto text = vector["text"].get<std::string>();
    EXPECT_EQ(encode(tokenizer, text, {.parse_special = true}), vector["ids"].get<Ids>());
  }
}

TEST(Tokenizer, IsSharedByThreads) {
  const std::string text = test::read_text("tests/golden/chat_template.json").substr(0, 2000);
  const std::string valid = text.substr(0, std::min(text.size(), find_invalid_utf8(text)));
  const Ids want = encode(test::tiny_r1(), valid);
  std::vector<Ids> got(4);
  std::vector<std::thread> threads;
  for (Ids& ids : got) {
    threads.emplace_back([&] { ids = encode(test::tiny_r1(), valid); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& ids : got) EXPECT_EQ(ids, want);
}

TEST(Tokenizer, MissingFilesAreNamed) {
  const auto missing = Tokenizer::load(HADAL_SOURCE_DIR "/tests/golden");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kIo);
  EXPECT_THAT(missing.error().message, HasSubstr("tokenizer.json"));
}

}  // namespace
}  // namespace hadal
