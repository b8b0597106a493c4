#include "text/tokenizer_json.h"

#include <algorithm>
#include <unordered_map>

#include "text/json_rules.h"

namespace hadal {
namespace {

using nlohmann::json;

constexpr std::string_view kFile = "tokenizer.json";
constexpr std::string_view kConfigFile = "tokenizer_config.json";

// What src/text/piece_scanner.cpp implements.
const std::vector<std::string> kSplitPatterns = {
    R"(\p{N}{1,3})",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
};

Error unsupported(std::string_view path, std::string_view found, std::string_view wanted) {
  return {ErrorCode::kUnsupported,
          fmt::format("{}: {} is {}, wanted {}", kFile, path, found, wanted)};
}

Error bad_file(std::string_view path, std::string_view found, std::string_view wanted) {
  return {ErrorCode::kBadFile, fmt::format("{}: {} is {}, wanted {}", kFile, path, found, wanted)};
}

// Line breaks inside a pattern may be written as escapes or as themselves.
std::string escape_newlines(const std::string& pattern) {
  std::string escaped;
  for (const char c : pattern) {
    if (c == '\r') {
      escaped += "\\r";
    } else if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

Status check_split(const json& split, size_t index) {
  const std::string path = fmt::format("pre_tokenizer.pretokenizers[{}].", index);
  HADAL_RETURN_IF_ERROR(check_json_object(
      kFile, path, split,
      {{"type", {"Split"}}, {"pattern"}, {"behavior", {"Isolated"}}, {"invert", {false}}}));
  const json pattern = split.value("pattern", json());
  HADAL_RETURN_IF_ERROR(check_json_object(kFile, path + "pattern.", pattern, {{"Regex"}}));
  const json regex = pattern.value("Regex", json());
  const std::string& wanted = kSplitPatterns[index];
  if (!regex.is_string() || escape_newlines(regex.get_ref<const std::string&>()) != wanted) {
    return unsupported(path + "pattern.Regex", describe_json(regex), json(wanted).dump());
  }
  return {};
}

Status check_pre_tokenizer(const json& value) {
  HADAL_RETURN_IF_ERROR(check_json_object(kFile, "pre_tokenizer.", value,
                                          {{"type", {"Sequence"}}, {"pretokenizers"}}));
  const json steps = value.value("pretokenizers", json());
  const size_t splits = kSplitPatterns.size();
  if (!steps.is_array() || steps.size() != splits + 1) {
    return unsupported("pre_tokenizer.pretokenizers", describe_json(steps),
                       "three Split and one ByteLevel");
  }
  for (size_t i = 0; i < splits; ++i) HADAL_RETURN_IF_ERROR(check_split(steps[i], i));
  return check_json_object(kFile, fmt::format("pre_tokenizer.pretokenizers[{}].", splits),
                           steps[splits],
                           {{"type", {"ByteLevel"}},
                            {"add_prefix_space", {false}},
                            {"trim_offsets"},
                            {"use_regex", {false}}});
}

// The parts that must do nothing, or what ByteLevel does.
Status check_pipeline(const json& root) {
  const json no_normalizer = {{"type", "Sequence"}, {"normalizers", json::array()}};
  HADAL_RETURN_IF_ERROR(check_json_object(kFile, "", root,
                                          {{"version"},
                                           {"truncation", {nullptr}},
                                           {"padding", {nullptr}},
                                           {"added_tokens"},
                                           {"normalizer", {nullptr, no_normalizer}},
                                           {"pre_tokenizer"},
                                           {"post_processor"},
                                           {"decoder"},
                                           {"model"}}));
  const std::vector<JsonRule> byte_level = {
      {"type", {"ByteLevel"}}, {"add_prefix_space"}, {"trim_offsets"}, {"use_regex"}};
  const json post_processor = root.value("post_processor", json());
  if (!post_processor.is_null()) {
    HADAL_RETURN_IF_ERROR(check_json_object(kFile, "post_processor.", post_processor, byte_level));
  }
  HADAL_RETURN_IF_ERROR(
      check_json_object(kFile, "decoder.", root.value("decoder", json()), byte_level));
  return check_pre_tokenizer(root.value("pre_tokenizer", json()));
}

Result<TokenId> parse_id(const json& value, std::string_view path) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() >= TokenizerLimits::kTokensMax) {
    return bad_file(path, describe_json(value),
                    fmt::format("an id below {}", TokenizerLimits::kTokensMax));
  }
  return static_cast<TokenId>(value.get<uint64_t>());
}

Status parse_vocab(const json& value, TokenizerSpec& spec) {
  if (!value.is_object()) return bad_file("model.vocab", describe_json(value), "an object");
  if (value.size() > TokenizerLimits::kTokensMax) {
    return Error{ErrorCode::kTooLarge,
                 fmt::format("{}: model.vocab has {} tokens, the limit is {}", kFile, value.size(),
                             TokenizerLimits::kTokensMax)};
  }
  std::vector<bool> taken(TokenizerLimits::kTokensMax);
  spec.vocab.reserve(value.size());
  for (const auto& [token, id_value] : value.items()) {
    HADAL_ASSIGN_OR_RETURN(const TokenId id, parse_id(id_value, "an id of model.vocab"));
    if (taken[static_cast<size_t>(id)]) {
      return bad_file("model.vocab", fmt::format("using the id {} twice", id), "every id once");
    }
    taken[static_cast<size_t>(id)] = true;
    spec.vocab.emplace_back(token, id);
  }
  return {};
}

// Both spellings: "left right" (a symbol is never a space) and ["left", "right"].
Status parse_merges(const json& value, TokenizerSpec& spec) {
  if (!value.is_array()) return bad_file("model.merges", describe_json(value), "an array");
  if (value.size() > TokenizerLimits::kTokensMax) {
    return Error{ErrorCode::kTooLarge,
                 fmt::format("{}: model.merges has {} entries, the limit is "
                             "{}",
                             kFile, value.size(), TokenizerLimits::kTokensMax)};
  }
  spec.merges.reserve(value.size());
  for (const json& merge : value) {
    std::string left;
    std::string right;
    if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      left = text.substr(0, space);
      if (space != std::string::npos) right = text.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      left = merge[0].get_ref<const std::string&>();
      right = merge[1].get_ref<const std::string&>();
    }
    if (left.empty() || right.empty() || right.find(' ') != std::string::npos) {
      return bad_file(fmt::format("model.merges[{}]", spec.merges.size()), describe_json(merge),
                      R"("left right" or ["left", "right"])");
    }
    spec.merges.emplace_back(std::move(left), std::move(right));
  }
  return {};
}

Status parse_model(const json& value, TokenizerSpec& spec) {
  HADAL_RETURN_IF_ERROR(check_json_object(kFile, "model.", value,
                                          {{"type", {"BPE"}},
                                           {"dropout", {nullptr}},
                                           {"unk_token", {nullptr}},
                                           {"continuing_subword_prefix", {nullptr, ""}},
                                           {"end_of_word_suffix", {nullptr, ""}},
                                           {"fuse_unk", {nullptr, false, true}},
                                           {"byte_fallback", {nullptr, false}},
                                           {"ignore_merges", {nullptr, false, true}},
                                           {"vocab"},
                                           {"merges"}}));
  spec.ignore_merges = value.value("ignore_merges", json()) == json(true);
  const json missing;
  const auto vocab = value.find("vocab");
  const auto merges = value.find("merges");
  HADAL_RETURN_IF_ERROR(parse_vocab(vocab == value.end() ? missing : *vocab, spec));
  return parse_merges(merges == value.end() ? missing : *merges, spec);
}

Result<AddedToken> parse_added_token(const json& value, size_t index) {
  const std::string path = fmt::format("added_tokens[{}].", index);
  HADAL_RETURN_IF_ERROR(check_json_object(kFile, path, value,
                                          {{"id"},
                                           {"content"},
                                           {"single_word", {false}},
                                           {"lstrip", {false}},
                                           {"rstrip", {false}},
                                           {"normalized", {false, true}},
                                           {"special", {false, true}}}));
  AddedToken token;
  HADAL_ASSIGN_OR_RETURN(token.id, parse_id(value.value("id", json()), path + "id"));
  const json content = value.value("content", json());
  if (!content.is_string() || content.get_ref<const std::string&>().empty() ||
      content.get_ref<const std::string&>().size() > TokenizerLimits::kAddedTokenBytesMax) {
    return bad_file(path + "content", describe_json(content),
                    fmt::format("a text of 1 to {} bytes", TokenizerLimits::kAddedTokenBytesMax));
  }
  token.content = content.get<std::string>();
  token.special = value["special"].get<bool>();
  token.normalized = value["normalized"].get<bool>();
  return token;
}

// Ids and contents must be unique, and agree with the vocabulary where they occur in it.
Status check_added_tokens(const TokenizerSpec& spec) {
  std::unordered_map<std::string_view, TokenId> id_of;
  std::unordered_map<TokenId, std::string_view> token_of;
  for (const AddedToken& token : spec.added_tokens) {
    const bool new_content = id_of.emplace(token.content, token.id).second;
    const bool new_id = token_of.emplace(token.id, token.content).second;
    if (!new_content || !new_id) {
      return bad_file(
          "added_tokens",
          fmt::format("using {} or the id {} twice", json(token.content).dump(), token.id),
          "every token and id once");
    }
  }
  for (const auto& [token, id] : spec.vocab) {
    const auto by_content = id_of.find(token);
    const auto by_id = token_of.find(id);
    const bool added = by_content != id_of.end() || by_id != token_of.end();
    if (added && (by_content == id_of.end() || by_content->second != id)) {
      return bad_file("model.vocab", fmt::format("giving {} the id {}", json(token).dump(), id),
                      "the same token and id as in added_tokens");
    }
  }
  return {};
}

Status parse_added_tokens(const json& value, TokenizerSpec& spec) {
  if (!value.is_array()) return bad_file("added_tokens", describe_json(value), "an array");
  for (size_t i = 0; i < value.size(); ++i) {
    HADAL_ASSIGN_OR_RETURN(AddedToken token, parse_added_token(value[i], i));
    spec.added_tokens.push_back(std::move(token));
  }
  return check_added_tokens(spec);
}

// A token in tokenizer_config.json is a string, or an object that holds one.
Result<std::string> parse_config_token(const json& root, const char* key) {
  const json value = root.value(key, json());
  const json content = value.is_object() ? value.value("content", json()) : value;
  if (!content.is_string() || content.get_ref<const std::string&>().empty()) {
    return Error{ErrorCode::kBadFile,
                 fmt::format("{}: {} is {}, wanted a token", kConfigFile, key,
                             root.contains(key) ? describe_json(value) : "absent")};
  }
  return content.get<std::string>();
}

// One template, or several by name of which "default" is the chat's.
Result<std::string> parse_chat_template(const json& value) {
  if (value.is_null()) return std::string();
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) {
    for (const json& entry : value) {
      if (!entry.is_object() || entry.value("name", json()) != json("default")) continue;
      const json text = entry.value("template", json());
      if (text.is_string()) return text.get<std::string>();
    }
  }
  return Error{ErrorCode::kBadFile,
               fmt::format("{}: chat_template is {}, wanted a text or a list with a \"default\"",
                           kConfigFile, describe_json(value))};
}

}  // namespace

Result<TokenizerSpec> parse_tokenizer_json(std::string_view text) {
  HADAL_ASSIGN_OR_RETURN(const json root, parse_json(kFile, text));
  HADAL_RETURN_IF_ERROR(check_pipeline(root));
  TokenizerSpec spec;
  const json missing;
  const auto model = root.find("model");
  HADAL_RETURN_IF_ERROR(parse_model(model == root.end() ? missing : *model, spec));
  HADAL_RETURN_IF_ERROR(parse_added_tokens(root.value("added_tokens", json()), spec));
  return spec;
}

Result<TokenizerConfig> parse_tokenizer_config(std::string_view text,
                                               std::string chat_template_jinja) {
  HADAL_ASSIGN_OR_RETURN(const json root, parse_json(kConfigFile, text));
  if (!root.is_object()) {
    return Error{ErrorCode::kBadFile, fmt::format("{}: the top level is {}, wanted an object",
                                                  kConfigFile, describe_json(root))};
  }
  const auto flag = [&](const char* key, std::vector<json> allowed) -> Status {
    const json value = root.value(key, json());
    return check_json_object(kConfigFile, "", json::object({{key, value}}),
                             {{key, std::move(allowed)}});
  };
  HADAL_RETURN_IF_ERROR(flag("add_bos_token", {false, true}));
  HADAL_RETURN_IF_ERROR(flag("add_eos_token", {nullptr, false}));
  HADAL_RETURN_IF_ERROR(flag("clean_up_tokenization_spaces", {nullptr, false}));

  TokenizerConfig config;
  config.add_bos_token = root["add_bos_token"].get<bool>();
  HADAL_ASSIGN_OR_RETURN(config.bos_token, parse_config_token(root, "bos_token"));
  HADAL_ASSIGN_OR_RETURN(config.eos_token, parse_config_token(root, "eos_token"));
  config.chat_template = std::move(chat_template_jinja);
  if (config.chat_template.empty()) {
    HADAL_ASSIGN_OR_RETURN(config.chat_template,
                           parse_chat_template(root.value("chat_template", json())));
  }
  return config;
}

}  // namespace hadal
