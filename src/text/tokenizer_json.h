// tokenizer.json and tokenizer_config.json → plain data. Every key is checked: one that would make
// the tokenizer something else than byte-level BPE of the DeepSeek family is refused
// (kUnsupported), as is one that is not known here, because nobody can say what it would change.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"
#include "hadal/text/tokenizer.h"

namespace hadal {

struct AddedToken {
  TokenId id = kNoToken;
  std::string content;
  bool special = false;     // dropped by skip_special_tokens
  bool normalized = false;  // searched for after the others (the normalizer itself does nothing)
};

struct TokenizerSpec {
  std::vector<std::pair<std::string, TokenId>> vocab;       // spelled in byte symbols; ids unique
  std::vector<std::pair<std::string, std::string>> merges;  // in order of rank
  std::vector<AddedToken> added_tokens;  // ids and contents unique; where the vocabulary has the
                                         // id or the content, it has both
  bool ignore_merges = false;            // a piece that is a token is not merged
};

Result<TokenizerSpec> parse_tokenizer_json(std::string_view text);

// `chat_template_jinja`, if not empty, replaces the template in the JSON.
Result<TokenizerConfig> parse_tokenizer_config(std::string_view text,
                                               std::string chat_template_jinja);

}  // namespace hadal
