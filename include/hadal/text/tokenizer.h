// Text → token ids and token id → bytes, exactly as the checkpoint's tokenizer.json says: the
// byte-level BPE of DeepSeek-V3/R1. Anything this class does not implement exactly is refused at
// load, in one sentence that names the key, what was found and what was wanted.
//
// Encoding: added tokens are found in the raw text (if asked for), leftmost-longest; the rest is
// cut into pieces (src/text/piece_scanner.h) and each piece is merged by rank. Time is linear in
// the text but for a logarithmic factor within one long piece.
//
// Threads: immutable once loaded; every method may be called from any thread.
//
// Invariant (1): with parse_special off, encode() never returns the id of an added token, whatever
// the text: no merge and no byte produces one. Loading refuses a file in which one would.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"

namespace hadal {

struct TokenizerLimits {
  static constexpr size_t kFileBytesMax = size_t{64} << 20;  // tokenizer.json; R1's has 7.8 MB
  static constexpr size_t kTokensMax = size_t{1} << 20;  // ids are below; R1's are below 128,815
  static constexpr size_t kAddedTokenBytesMax = 256;
  static constexpr size_t kTextBytesMax = size_t{32} << 20;  // one encode() call
};

// The content of a checkpoint's tokenizer files, as text.
struct TokenizerFiles {
  std::string tokenizer_json;
  std::string tokenizer_config_json;
  std::string chat_template_jinja;  // empty: the template is in tokenizer_config_json, if anywhere
};

// What tokenizer_config.json adds.
struct TokenizerConfig {
  bool add_bos_token = false;  // whether raw prompts (not chat prompts) start with BOS
  std::string bos_token;
  std::string eos_token;
  std::string chat_template;  // Jinja source, or empty; see chat_format.h
};

struct EncodeOptions {
  bool add_bos = false;        // put BOS first, if tokenizer_config.json says add_bos_token
  bool parse_special = false;  // added tokens spelled out in the text become their ids
};

class Tokenizer {
 public:
  // Reads tokenizer.json, tokenizer_config.json and, if there is one, chat_template.jinja.
  // kIo: a file cannot be read; kTooLarge: it is over a limit; kBadFile: its content is wrong;
  // kUnsupported: its content is well formed but means another tokenizer.
  static Result<Tokenizer> load(const std::filesystem::path& model_dir);
  static Result<Tokenizer> parse(const TokenizerFiles& files);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // kInvalidArgument: `text` is not valid UTF-8 (the sentence gives the byte offset);
  // kTooLarge: over kTextBytesMax.
  Result<std::vector<TokenId>> encode(std::string_view text, EncodeOptions options) const;

  // The bytes a token stands for; valid as long as the tokenizer. One token may be a part of a
  // UTF-8 sequence: use Detokenizer for text. Ids outside the vocabulary stand for no bytes.
  std::string_view token_bytes(TokenId id) const;

  // Whether skip_special_tokens drops it. Role, tool and think markers are added tokens but not
  // special in the DeepSeek family.
  bool is_special(TokenId id) const;
  bool is_added(TokenId id) const;
  std::optional<TokenId> find_added_token(std::string_view content) const;

  TokenId bos_id() const;
  TokenId eos_id() const;
  const TokenizerConfig& config() const;

  // One more than the largest id. Not every id below need exist, and the checkpoint's vocab_size,
  // which is padded, may be larger.
  TokenId vocab_size() const;

  // A text of n bytes has at least n / token_bytes_max() tokens: lets a caller refuse a text that
  // cannot fit a context before spending time on it.
  size_t token_bytes_max() const;

 private:
  struct Tables;
  explicit Tokenizer(std::unique_ptr<const Tables> tables);
  std::unique_ptr<const Tables> tables_;
};

}  // namespace hadal
