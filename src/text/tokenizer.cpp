#include "hadal/text/tokenizer.h"

#include <algorithm>
#include <fstream>

#include "hadal/base/utf8.h"
#include "text/added_token_matcher.h"
#include "text/bpe.h"
#include "text/byte_symbols.h"
#include "text/piece_scanner.h"
#include "text/tokenizer_json.h"

namespace hadal {
namespace {

Result<std::string> read_file(const std::filesystem::path& path) {
  const auto refuse = [&](ErrorCode code, std::string_view why) {
    return Error{code, fmt::format("{}: {}", path.string(), why)};
  };
  std::error_code failed;
  const uintmax_t bytes = std::filesystem::file_size(path, failed);
  if (failed) return refuse(ErrorCode::kIo, failed.message());
  if (bytes > TokenizerLimits::kFileBytesMax) {
    return refuse(ErrorCode::kTooLarge,
                  fmt::format("{} bytes, the limit is {}", bytes, TokenizerLimits::kFileBytesMax));
  }
  std::string content(bytes, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(content.data(), static_cast<std::streamsize>(bytes))) {
    return refuse(ErrorCode::kIo, "cannot be read");
  }
  return content;
}

// The bytes of every token, one after the other.
class TokenBytes {
 public:
  // `spellings` by id; an empty one is an id that does not exist.
  explicit TokenBytes(const std::vector<std::string>& spellings) {
    ends_.reserve(spellings.size());
    for (const std::string& spelling : spellings) {
      bytes_ += bytes_of_symbols(spelling).value_or(spelling);
      ends_.push_back(static_cast<uint32_t>(bytes_.size()));
    }
  }

  std::string_view operator[](TokenId id) const {
    const auto i = static_cast<size_t>(id);
    if (id < 0 || i >= ends_.size()) return {};
    const uint32_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }

  TokenId size() const { return static_cast<TokenId>(ends_.size()); }

 private:
  std::string bytes_;
  std::vector<uint32_t> ends_;
};

TokenBytes make_token_bytes(const TokenizerSpec& spec) {
  TokenId size = 0;
  for (const auto& [token, id] : spec.vocab) size = std::max(size, id + 1);
  for (const AddedToken& token : spec.added_tokens) size = std::max(size, token.id + 1);
  std::vector<std::string> spellings(static_cast<size_t>(size));
  for (const auto& [token, id] : spec.vocab) spellings[static_cast<size_t>(id)] = token;
  for (const AddedToken& token : spec.added_tokens) {
    spellings[static_cast<size_t>(token.id)] = token.content;
  }
  return TokenBytes(spellings);
}

}  // namespace

struct Tokenizer::Tables {
  TokenizerConfig config;
  Bpe bpe;
  TokenBytes bytes;
  std::vector<AddedToken> added;  // ordered by content
  std::vector<bool> is_added;     // by id
  std::vector<bool> is_special;   // by id
  AddedTokenMatcher raw;          // the added tokens that are searched for first,
  AddedTokenMatcher normalized;   // and those searched for in what remains
  TokenId bos_id = kNoToken;
  TokenId eos_id = kNoToken;
  size_t token_bytes_max = 0;

  Tables(TokenizerSpec spec, TokenizerConfig tokenizer_config, Bpe model);
  std::optional<TokenId> find_added(std::string_view content) const;
  void encode_text(std::string_view text, std::vector<TokenId>& out) const;
  template <typename Between>
  void encode_around(const AddedTokenMatcher& matcher, std::string_view text,
                     std::vector<TokenId>& out, Between between) const;
};

Tokenizer::Tables::Tables(TokenizerSpec spec, TokenizerConfig tokenizer_config, Bpe model)
    : config(std::move(tokenizer_config)),
      bpe(std::move(model)),
      bytes(make_token_bytes(spec)),
      added(std::move(spec.added_tokens)),
      is_added(static_cast<size_t>(bytes.size())),
      is_special(static_cast<size_t>(bytes.size())) {
  for (const AddedToken& token : added) {
    is_added[static_cast<size_t>(token.id)] = true;
    is_special[static_cast<size_t>(token.id)] = token.special;
    (token.normalized ? normalized : raw).add(token.content, token.id);
  }
  std::ranges::sort(added, {}, &AddedToken::content);
  for (TokenId id = 0; id < bytes.size(); ++id) {
    token_bytes_max = std::max(token_bytes_max, bytes[id].size());
  }
}

std::optional<TokenId> Tokenizer::Tables::find_added(std::string_view content) const {
  const auto found = std::ranges::lower_bound(added, content, {}, &AddedToken::content);
  if (found == added.end() || found->content != content) return std::nullopt;
  return found->id;
}

void Tokenizer::Tables::encode_text(std::string_view text, std::vector<TokenId>& out) const {
  PieceScanner scanner(text);
  for (std::string_view piece; scanner.next(piece);) bpe.encode(piece, out);
}

// Appends the ids of the matcher's tokens in `text`, and calls between(stretch) for what lies
// around them.
template <typename Between>
void Tokenizer::Tables::encode_around(const AddedTokenMatcher& matcher, std::string_view text,
                                      std::vector<TokenId>& out, Between between) const {
  size_t from = 0;
  for (auto match = matcher.find(text, 0); match; match = matcher.find(text, from)) {
    between(text.substr(from, match->begin - from));
    out.push_back(match->id);
    from = match->end;
  }
  between(text.substr(from));
}

Tokenizer::Tokenizer(std::unique_ptr<const Tables> tables) : tables_(std::move(tables)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::load(const std::filesystem::path& model_dir) {
  TokenizerFiles files;
  HADAL_ASSIGN_OR_RETURN(files.tokenizer_json, read_file(model_dir / "tokenizer.json"));
  HADAL_ASSIGN_OR_RETURN(files.tokenizer_config_json,
                         read_file(model_dir / "tokenizer_config.json"));
  const std::filesystem::path jinja = model_dir / "chat_template.jinja";
  if (std::error_code ignored; std::filesystem::exists(jinja, ignored)) {
    HADAL_ASSIGN_OR_RETURN(files.chat_template_jinja, read_file(jinja));
  }
  return parse(files);
}

Result<Tokenizer> Tokenizer::parse(const TokenizerFiles& files) {
  HADAL_ASSIGN_OR_RETURN(TokenizerSpec spec, parse_tokenizer_json(files.tokenizer_json));
  HADAL_ASSIGN_OR_RETURN(TokenizerConfig config, parse_tokenizer_config(files.tokenizer_config_json,
                                                                        files.chat_template_jinja));
  HADAL_ASSIGN_OR_RETURN(Bpe bpe, Bpe::build(spec));
  auto tables = std::make_unique<Tables>(std::move(spec), std::move(config), std::move(bpe));

  const auto resolve = [&](std::string_view key, std::string_view content) -> Result<TokenId> {
    if (const std::optional<TokenId> id = tables->find_added(content)) return *id;
    return Error{ErrorCode::kBadFile,
                 fmt::format("tokenizer_config.json: {} is \"{}\", wanted an added token of "
                             "tokenizer.json",
                             key, content)};
  };
  HADAL_ASSIGN_OR_RETURN(tables->bos_id, resolve("bos_token", tables->config.bos_token));
  HADAL_ASSIGN_OR_RETURN(tables->eos_id, resolve("eos_token", tables->config.eos_token));
  return Tokenizer(std::move(tables));
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() > TokenizerLimits::kTextBytesMax) {
    return Error{ErrorCode::kTooLarge, fmt::format("the text has {} bytes, the limit is {}",
                                                   text.size(), TokenizerLimits::kTextBytesMax)};
  }
  if (const size_t invalid = find_invalid_utf8(text); invalid != std::string_view::npos) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("the text is not valid UTF-8 at byte {} (0x{:02X})", invalid,
                             static_cast<uint8_t>(text[invalid]))};
  }
  std::vector<TokenId> out;
  out.reserve(text.size() / 4 + 2);
  if (options.add_bos && tables_->config.add_bos_token) out.push_back(tables_->bos_id);
  const auto plain = [&](std::string_view stretch) { tables_->encode_text(stretch, out); };
  if (!options.parse_special) {
    plain(text);
  } else {
    tables_->encode_around(tables_->raw, text, out, [&](std::string_view stretch) {
      tables_->encode_around(tables_->normalized, stretch, out, plain);
    });
  }
  return out;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  return tables_->bytes[id];
}

bool Tokenizer::is_special(TokenId id) const {
  return id >= 0 && id < vocab_size() && tables_->is_special[static_cast<size_t>(id)];
}

bool Tokenizer::is_added(TokenId id) const {
  return id >= 0 && id < vocab_size() && tables_->is_added[static_cast<size_t>(id)];
}

std::optional<TokenId> Tokenizer::find_added_token(std::string_view content) const {
  return tables_->find_added(content);
}

TokenId Tokenizer::bos_id() const {
  return tables_->bos_id;
}
TokenId Tokenizer::eos_id() const {
  return tables_->eos_id;
}
const TokenizerConfig& Tokenizer::config() const {
  return tables_->config;
}
TokenId Tokenizer::vocab_size() const {
  return tables_->bytes.size();
}
size_t Tokenizer::token_bytes_max() const {
  return tables_->token_bytes_max;
}

}  // namespace hadal
