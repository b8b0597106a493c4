#include "text/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "text/bpe.h"
#include "text/tokenizer_files.h"

namespace hadal {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const json& tiny_r1_json() {
  static const json root = json::parse(test::tiny_r1_files().tokenizer_json);
  return root;
}

// What loading tiny-r1's tokenizer says after a change to its tokenizer.json.
Error refusal(const std::function<void(json&)>& change) {
  TokenizerFiles files = test::tiny_r1_files();
  json root = tiny_r1_json();
  change(root);
  files.tokenizer_json = root.dump();
  const auto tokenizer = Tokenizer::parse(files);
  return tokenizer.ok() ? Error{ErrorCode::kInternal, "accepted"} : tokenizer.error();
}

void expect_refusal(ErrorCode code, const std::function<void(json&)>& change,
                    const std::string& message) {
  const Error error = refusal(change);
  EXPECT_EQ(error.code, code) << error.message;
  EXPECT_THAT(error.message, HasSubstr(message));
  EXPECT_EQ(error.message.find('\n'), std::string::npos);
}

void set(json& root, const char* pointer, json value) {
  root[json::json_pointer(pointer)] = std::move(value);
}

struct Unsupported {
  const char* pointer;
  json value;
  std::string message;
};

TEST(TokenizerJson, RefusesWhatItDoesNotImplement) {
  const Unsupported cases[] = {
      {"/model/type", "WordPiece", R"(model.type is "WordPiece", wanted "BPE")"},
      {"/model/byte_fallback", true, "model.byte_fallback is true, wanted null or false"},
      {"/model/unk_token", "<unk>", R"(model.unk_token is "<unk>", wanted null)"},
      {"/model/dropout", 0.1, "model.dropout is 0.1, wanted null"},
      {"/model/end_of_word_suffix", "</w>", "model.end_of_word_suffix"},
      {"/model/continuing_subword_prefix", "##", "model.continuing_subword_prefix"},
      {"/model/new_key", 1, "model.new_key is 1, wanted no such key"},
      {"/new_key", json::array(), "new_key is an array of 0, wanted no such key"},
      {"/truncation", {{"max_length", 512}}, "truncation is an object of 1 keys, wanted null"},
      {"/padding", {{"x", 1}}, "padding"},
      {"/normalizer", {{"type", "NFC"}}, "normalizer is an object of 1 keys, wanted null or"},
      {"/post_processor/type", "TemplateProcessing", "post_processor.type"},
      {"/decoder/type", "Metaspace", R"(decoder.type is "Metaspace", wanted "ByteLevel")"},
      {"/decoder", nullptr, "decoder is null, wanted an object"},
      {"/pre_tokenizer/type", "ByteLevel", "pre_tokenizer.type"},
      {"/pre_tokenizer/pretokenizers", json::array(), "wanted three Split and one ByteLevel"},
      {"/pre_tokenizer/pretokenizers/0/type", "Digits", "pretokenizers[0].type"},
      {"/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\p{N}{1,2}",
       R"(pretokenizers[0].pattern.Regex is "\\p{N}{1,2}", wanted "\\p{N}{1,3}")"},
      {"/pre_tokenizer/pretokenizers/2/pattern/Regex", "\\s+", "pretokenizers[2].pattern.Regex"},
      {"/pre_tokenizer/pretokenizers/1/pattern", {{"String", "a"}}, "pretokenizers[1].pattern"},
      {"/pre_tokenizer/pretokenizers/1/behavior", "Removed", "pretokenizers[1].behavior"},
      {"/pre_tokenizer/pretokenizers/1/invert", true, "pretokenizers[1].invert"},
      {"/pre_tokenizer/pretokenizers/3/add_prefix_space", true, "[3].add_prefix_space is true"},
      {"/pre_tokenizer/pretokenizers/3/use_regex", true, "[3].use_regex is true, wanted false"},
      {"/added_tokens/0/lstrip", true, "added_tokens[0].lstrip is true, wanted false"},
      {"/added_tokens/0/rstrip", true, "added_tokens[0].rstrip"},
      {"/added_tokens/0/single_word", true, "added_tokens[0].single_word"},
  };
  for (const Unsupported& c : cases) {
    expect_refusal(
        ErrorCode::kUnsupported, [&](json& root) { set(root, c.pointer, c.value); }, c.message);
  }
}

TEST(TokenizerJson, RefusesWhatIsMalformed) {
  const Unsupported cases[] = {
      {"/model/vocab", 1, "model.vocab is 1, wanted an object"},
      {"/model/vocab/a", -1, "an id of model.vocab is -1, wanted an id below 1048576"},
      {"/model/vocab/a", 1048576, "wanted an id below"},
      {"/model/vocab/a", "x", "wanted an id below"},
      {"/model/vocab/a", 0, "using the id 0 twice"},
      {"/model/merges", 1, "model.merges is 1, wanted an array"},
      {"/model/merges/0", "he", "model.merges[0] is \"he\""},
      {"/model/merges/0", "h e l", "model.merges[0]"},
      {"/model/merges/0", json::array({"h"}), "model.merges[0]"},
      {"/model/merges/0", json::array({"h", 1}), "model.merges[0]"},
      {"/model/merges/0", json::array({"h", "nothing"}), "not in model.vocab"},
      {"/model/merges/0", json::array({"h", "h"}), "gives a token that is not in model.vocab"},
      {"/model/merges/1", json::array({"h", "e"}), "as an earlier merge does"},
      {"/added_tokens", nullptr, "added_tokens is null, wanted an array"},
      {"/added_tokens/0/content", "", "added_tokens[0].content is \"\", wanted a text of 1 to 256"},
      {"/added_tokens/0/content", std::string(257, 'x'), "added_tokens[0].content"},
      {"/added_tokens/0/id", 1.5, "added_tokens[0].id is 1.5"},
      {"/added_tokens/4/id", 1920, "id 1920 twice"},
      {"/added_tokens/4/content", "<think>", "twice"},
      {"/added_tokens/4/id", 300, "wanted the same token and id as in added_tokens"},
      {"/added_tokens/0/content", "<other>", "wanted the same token and id as in added_tokens"},
  };
  for (const Unsupported& c : cases) {
    expect_refusal(
        ErrorCode::kBadFile, [&](json& root) { set(root, c.pointer, c.value); }, c.message);
  }
  expect_refusal(
      ErrorCode::kBadFile, [](json& root) { root["model"]["vocab"].erase("a"); },
      "lacks \"a\", the symbol of byte 0x61");
}

// Invariant 1 of tokenizer.h.
TEST(TokenizerJson, RefusesAMergeOrByteThatIsAnAddedToken) {
  json root = test::bytes_only_json();
  test::add_merge(root, "a", "b");
  root["added_tokens"].push_back({{"id", 256},
                                  {"content", "ab"},
                                  {"single_word", false},
                                  {"lstrip", false},
                                  {"rstrip", false},
                                  {"normalized", false},
                                  {"special", false}});
  auto tokenizer = Tokenizer::parse(test::files_of(root));
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_THAT(tokenizer.error().message, HasSubstr("which gives an added token"));

  root["model"]["merges"] = json::array();
  root["added_tokens"][0]["id"] = 'a';
  root["added_tokens"][0]["content"] = "a";
  tokenizer = Tokenizer::parse(test::files_of(root));
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_THAT(tokenizer.error().message, HasSubstr("byte 0x61 is an added token"));
}

TEST(TokenizerJson, AcceptsWhatMeansTheSame) {
  const auto accepted = [](const std::function<void(json&)>& change) {
    return refusal(change).message;
  };
  EXPECT_EQ(accepted([](json&) {}), "accepted");
  EXPECT_EQ(accepted([](json& root) { root["normalizer"] = nullptr; }), "accepted");
  EXPECT_EQ(accepted([](json& root) { root["post_processor"] = nullptr; }), "accepted");
  EXPECT_EQ(accepted([](json& root) { root["model"].erase("ignore_merges"); }), "accepted");
  EXPECT_EQ(accepted([](json& root) { root["model"]["end_of_word_suffix"] = ""; }), "accepted");
  EXPECT_EQ(accepted([](json& root) {  // line breaks in the pattern as themselves
              json& regex = root["pre_tokenizer"]["pretokenizers"][2]["pattern"]["Regex"];
              auto text = regex.get<std::string>();
              for (size_t at; (at = text.find("\\r\\n")) != std::string::npos;) {
                text.replace(at, 4, "\r\n");
              }
              regex = text;
            }),
            "accepted");
}

TEST(TokenizerJson, RefusesWhatIsNotJson) {
  for (const char* text : {"", "{", "[1", "\xff", "{\"a\":\"\xff\"}", "{} x", "\"\\ud800\""}) {
    const auto spec = parse_tokenizer_json(text);
    ASSERT_FALSE(spec.ok());
    EXPECT_EQ(spec.error().code, ErrorCode::kBadFile);
    EXPECT_THAT(spec.error().message, HasSubstr("tokenizer.json is not JSON"));
  }
  EXPECT_EQ(parse_tokenizer_json("[]").error().message,
            "tokenizer.json: the top level is an array of 0, wanted an object");
  EXPECT_FALSE(parse_tokenizer_json(std::string(1'000'000, '[')).ok());
}

Result<TokenizerConfig> config_of(const std::function<void(json&)>& change) {
  json root = json::parse(test::tiny_r1_files().tokenizer_config_json);
  change(root);
  return parse_tokenizer_config(root.dump(), "");
}

TEST(TokenizerConfigJson, ReadsTokensInBothForms) {
  const TokenizerConfig config = config_of([](json& root) { root["eos_token"] = "</s>"; }).value();
  EXPECT_EQ(config.bos_token, "<｜begin▁of▁sentence｜>");
  EXPECT_EQ(config.eos_token, "</s>");
  EXPECT_TRUE(config.add_bos_token);
}

TEST(TokenizerConfigJson, FindsTheChatTemplate) {
  const auto template_of = [](const json& value) {
    return config_of([&](json& root) { root["chat_template"] = value; }).value().chat_template;
  };
  EXPECT_EQ(template_of("x"), "x");
  EXPECT_EQ(template_of(nullptr), "");
  EXPECT_EQ(template_of({{{"name", "tool_use"}, {"template", "t"}},
                         {{"name", "default"}, {"template", "d"}}}),
            "d");
  EXPECT_EQ(parse_tokenizer_config(test::tiny_r1_files().tokenizer_config_json, "file")
                .value()
                .chat_template,
            "file");
}

TEST(TokenizerConfigJson, RefusesWhatItCannotUse) {
  const auto message = [](const char* key, const json& value) {
    const auto config = config_of([&](json& root) { root[key] = value; });
    return config.ok() ? "accepted" : config.error().message;
  };
  EXPECT_THAT(message("add_bos_token", nullptr), HasSubstr("add_bos_token is null, wanted false"));
  EXPECT_THAT(message("add_bos_token", 1), HasSubstr("add_bos_token is 1"));
  EXPECT_THAT(message("add_eos_token", true), HasSubstr("add_eos_token is true, wanted null or"));
  EXPECT_THAT(message("clean_up_tokenization_spaces", true), HasSubstr("is true"));
  EXPECT_THAT(message("bos_token", nullptr), HasSubstr("bos_token is null, wanted a token"));
  EXPECT_THAT(message("eos_token", {{"x", 1}}), HasSubstr("eos_token is an object"));
  EXPECT_THAT(message("chat_template", 1), HasSubstr("chat_template is 1"));
  EXPECT_THAT(message("chat_template", json::array({1})), HasSubstr("chat_template is an array"));
  EXPECT_FALSE(parse_tokenizer_config("[]", "").ok());
  EXPECT_FALSE(parse_tokenizer_config("", "").ok());
}

TEST(TokenizerConfigJson, BosAndEosMustBeAddedTokens) {
  TokenizerFiles files = test::tiny_r1_files();
  json config = json::parse(files.tokenizer_config_json);
  config["eos_token"] = "</s>";
  files.tokenizer_config_json = config.dump();
  const auto tokenizer = Tokenizer::parse(files);
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.error().message,
            "tokenizer_config.json: eos_token is \"</s>\", wanted an added token of "
            "tokenizer.json");
}

}  // namespace
}  // namespace hadal
