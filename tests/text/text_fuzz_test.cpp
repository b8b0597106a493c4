// Seeded mutations: whatever the files and texts hold, loading refuses in one sentence or gives a
// tokenizer that works. Run under the sanitizers, this is where they would find something.
#include <gtest/gtest.h>

#include <random>

#include "hadal/base/utf8.h"
#include "hadal/text/chat_format.h"
#include "hadal/text/detokenizer.h"
#include "text/tokenizer_files.h"

namespace hadal {
namespace {

using nlohmann::json;

constexpr uint32_t kSeed = 20'261'125;

json small_tokenizer() {
  json root = test::bytes_only_json();
  for (const auto& [left, right] : {std::pair{"a", "b"}, {"Ġ", "a"}, {"ab", "ab"}, {"1", "2"}}) {
    test::add_merge(root, left, right);
  }
  test::add_token(root, "<eos>", true);
  test::add_token(root, "<a>");
  test::add_token(root, "<a><b>", false, true);
  return root;
}

std::string random_text(std::mt19937& random) {
  const char* parts[] = {"a", "b",     "ab",  " ",   "\n", "1",      "12",     "é", "日",
                         "🎉", "<eos>", "<a>", "<b>", "<",  "\u0301", "\u200b", "'"};
  std::string text;
  for (size_t n = random() % 20; n > 0; --n) text += parts[random() % std::size(parts)];
  return text;
}

json random_value(std::mt19937& random) {
  switch (random() % 10) {
    case 0:
      return nullptr;
    case 1:
      return random() % 2 == 0;
    case 2:
      return static_cast<int64_t>(random()) - (int64_t{1} << 31);
    case 3:
      return random() % 300;
    case 4:
      return 0.5;
    case 5:
      return random_text(random);
    case 6:
      return json::array();
    case 7:
      return json::object();
    case 8:
      return json::array({"a", "b"});
    default:
      return {{"type", "Sequence"}, {"id", random() % 300}};
  }
}

// Replaces, deletes or adds something at a random place of the tree.
void mutate(json& value, std::mt19937& random) {
  if (!value.is_structured() || value.empty() || random() % 6 == 0) {
    value = random_value(random);
    return;
  }
  const auto at = std::next(value.begin(), static_cast<std::ptrdiff_t>(random() % value.size()));
  if (random() % 8 == 0) {
    value.erase(at);
  } else if (random() % 8 == 0 && value.is_object()) {
    value[random_text(random)] = random_value(random);
  } else {
    mutate(*at, random);
  }
}

void mutate_bytes(std::string& text, std::mt19937& random) {
  for (size_t n = 1 + random() % 4; n > 0 && !text.empty(); --n) {
    const size_t at = random() % text.size();
    switch (random() % 4) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, 1 + random() % 8);
        break;
      case 2:
        text.insert(at, text.substr(random() % text.size(), random() % 8));
        break;
      default:
        text.resize(at);
        break;
    }
  }
}

void expect_works(const Tokenizer& tokenizer, std::mt19937& random) {
  for (int i = 0; i < 3; ++i) {
    const std::string text = random_text(random);
    for (const bool parse_special : {false, true}) {
      const auto ids = tokenizer.encode(text, {.parse_special = parse_special}).value();
      std::string bytes;
      for (const TokenId id : ids) {
        EXPECT_TRUE(parse_special || !tokenizer.is_added(id));
        bytes += tokenizer.token_bytes(id);
      }
      EXPECT_EQ(bytes, text);
    }
  }
}

// One line of valid UTF-8, as it goes to logs.
void expect_sentence(const Error& error) {
  EXPECT_FALSE(error.message.empty());
  EXPECT_EQ(find_invalid_utf8(error.message), std::string::npos) << error.message;
}

TEST(TextFuzz, MutatedTokenizersAreRefusedOrWork) {
  std::mt19937 random(kSeed);
  const TokenizerFiles files = test::files_of(small_tokenizer());
  const json root = json::parse(files.tokenizer_json);
  size_t accepted = 0;
  for (int i = 0; i < 3'000; ++i) {
    TokenizerFiles mutated = files;
    json tree = root;
    for (size_t n = 1 + random() % 2; n > 0; --n) mutate(tree, random);
    mutated.tokenizer_json = tree.dump();
    const auto tokenizer = Tokenizer::parse(mutated);
    if (!tokenizer.ok()) {
      expect_sentence(tokenizer.error());
      continue;
    }
    ++accepted;
    expect_works(*tokenizer, random);
    if (HasFailure()) FAIL() << "seed " << kSeed << ", case " << i;
  }
  EXPECT_GT(accepted, 20u);  // else nothing was tried
}

TEST(TextFuzz, MutatedBytesAreRefusedOrWork) {
  std::mt19937 random(kSeed);
  const TokenizerFiles files = test::files_of(small_tokenizer());
  for (int i = 0; i < 3'000; ++i) {
    TokenizerFiles mutated = files;
    mutate_bytes(random() % 4 == 0 ? mutated.tokenizer_config_json : mutated.tokenizer_json,
                 random);
    const auto tokenizer = Tokenizer::parse(mutated);
    if (tokenizer.ok()) {
      expect_works(*tokenizer, random);
    } else {
      expect_sentence(tokenizer.error());
    }
    if (HasFailure()) FAIL() << "seed " << kSeed << ", case " << i;
  }
}

TEST(TextFuzz, MutatedTemplatesAreRecognisedOrRefused) {
  std::mt19937 random(kSeed);
  const std::string chat_template = test::tiny_r1().config().chat_template;
  size_t recognised = 0;
  for (int i = 0; i < 3'000; ++i) {
    std::string mutated = chat_template;
    mutate_bytes(mutated, random);
    if (recognise_chat_template(mutated).ok()) ++recognised;
  }
  EXPECT_LT(recognised, 3'000u);
}

TEST(TextFuzz, RandomBytesAreRefusedAndRandomTextComesBack) {
  std::mt19937 random(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    std::string text = random_text(random);
    if (random() % 2 == 0) mutate_bytes(text, random);
    const auto ids = test::tiny_r1().encode(text, {.parse_special = random() % 2 == 0});
    ASSERT_EQ(ids.ok(), find_invalid_utf8(text) == std::string::npos);
    if (!ids.ok()) continue;
    ASSERT_EQ(decode(test::tiny_r1(), *ids, false), text) << "seed " << kSeed;
  }
}

}  // namespace
}  // namespace hadal
