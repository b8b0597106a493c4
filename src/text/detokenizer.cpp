#include "hadal/text/detokenizer.h"

#include "hadal/base/check.h"
#include "hadal/base/utf8.h"

namespace hadal {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

// Appends the characters of `bytes` to `out`, U+FFFD for each maximal invalid part, and returns
// where an incomplete sequence at the end begins (bytes.size() if there is none).
size_t append_lossily(std::string_view bytes, std::string& out) {
  for (size_t i = 0; i < bytes.size();) {
    const Utf8Char c = decode_utf8(bytes.substr(i));
    if (c.incomplete) return i;
    if (c.valid) {
      out.append(bytes.substr(i, c.bytes));
    } else {
      append_utf8(out, kReplacement);
    }
    i += c.bytes;
  }
  return bytes.size();
}

}  // namespace

Detokenizer::Detokenizer(const Tokenizer& tokenizer, bool skip_special_tokens)
    : tokenizer_(&tokenizer), skip_special_tokens_(skip_special_tokens) {}

void Detokenizer::append(TokenId token, std::string& out) {
  if (skip_special_tokens_ && tokenizer_->is_special(token)) return;
  append_bytes(tokenizer_->token_bytes(token), out);
}

void Detokenizer::append_bytes(std::string_view bytes, std::string& out) {
  held_ += bytes;
  held_.erase(0, append_lossily(held_, out));
  HADAL_CHECK(held_.size() <= 3, "an incomplete sequence of {} bytes", held_.size());
}

void Detokenizer::finish(std::string& out) {
  if (!held_.empty()) append_utf8(out, kReplacement);
  held_.clear();
}

std::string decode(const Tokenizer& tokenizer, std::span<const TokenId> tokens,
                   bool skip_special_tokens) {
  std::string bytes;
  for (const TokenId token : tokens) {
    if (skip_special_tokens && tokenizer.is_special(token)) continue;
    bytes += tokenizer.token_bytes(token);
  }
  std::string text;
  if (append_lossily(bytes, text) < bytes.size()) append_utf8(text, kReplacement);
  return text;
}

}  // namespace hadal
