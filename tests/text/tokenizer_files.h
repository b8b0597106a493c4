// Tokenizers for tests: the bundled model's, and small ones made from parts.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "hadal/text/tokenizer.h"
#include "text/byte_symbols.h"

namespace hadal::test {

inline std::string read_text(const std::string& path_from_root) {
  std::ifstream file(std::string(HADAL_SOURCE_DIR "/") + path_from_root, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline nlohmann::json read_json(const std::string& path_from_root) {
  return nlohmann::json::parse(read_text(path_from_root));
}

inline TokenizerFiles tiny_r1_files() {
  return {.tokenizer_json = read_text("tests/models/tiny-r1/tokenizer.json"),
          .tokenizer_config_json = read_text("tests/models/tiny-r1/tokenizer_config.json"),
          .chat_template_jinja = ""};
}

inline const Tokenizer& tiny_r1() {
  static const Tokenizer tokenizer =
      Tokenizer::load(HADAL_SOURCE_DIR "/tests/models/tiny-r1").value();
  return tokenizer;
}

// tiny-r1's tokenizer.json with an empty vocabulary but for the 256 bytes (ids 0 to 255).
inline nlohmann::json bytes_only_json() {
  nlohmann::json root = read_json("tests/models/tiny-r1/tokenizer.json");
  nlohmann::json vocab = nlohmann::json::object();
  for (size_t byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(symbol, kSymbolOfByte[byte]);
    vocab[symbol] = byte;
  }
  root["model"]["vocab"] = vocab;
  root["model"]["merges"] = nlohmann::json::array();
  root["added_tokens"] = nlohmann::json::array();
  return root;
}

inline void add_merge(nlohmann::json& root, const std::string& left, const std::string& right) {
  nlohmann::json& vocab = root["model"]["vocab"];
  const size_t id = vocab.size() + root["added_tokens"].size();
  if (!vocab.contains(left + right)) vocab[left + right] = id;
  root["model"]["merges"].push_back(nlohmann::json::array({left, right}));
}

inline TokenId add_token(nlohmann::json& root, const std::string& content, bool special = false,
                         bool normalized = false) {
  const size_t id = root["model"]["vocab"].size() + root["added_tokens"].size();
  root["added_tokens"].push_back({{"id", id},
                                  {"content", content},
                                  {"single_word", false},
                                  {"lstrip", false},
                                  {"rstrip", false},
                                  {"normalized", normalized},
                                  {"special", special}});
  return static_cast<TokenId>(id);
}

// `root` as files whose BOS and EOS are its first added token (one is added if it has none).
inline TokenizerFiles files_of(nlohmann::json root) {
  if (root["added_tokens"].empty()) add_token(root, "<eos>", true);
  const nlohmann::json& token = root["added_tokens"][0]["content"];
  const nlohmann::json config = {
      {"add_bos_token", true}, {"bos_token", token}, {"eos_token", token}};
  return {root.dump(), config.dump(), ""};
}

}  // namespace hadal::test
