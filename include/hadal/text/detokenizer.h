// Token ids → text, one token at a time, byte-exact.
//
// Tokens stand for bytes, and a character may be spread over up to four tokens. Text leaves as soon
// as it is complete: after each token everything but an unfinished (and still possible) UTF-8
// sequence has been given out, so at most 3 bytes are held back. Bytes that can no longer become
// valid give one U+FFFD per maximal invalid part (Unicode 3.9, "U+FFFD substitution of maximal
// subparts"), at once. What leaves is therefore always valid UTF-8, whatever a model emits, and the
// concatenation does not depend on how the tokens were grouped.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "hadal/base/ids.h"
#include "hadal/text/tokenizer.h"

namespace hadal {

class Detokenizer {
 public:
  // REQUIRES: `tokenizer` outlives this object.
  Detokenizer(const Tokenizer& tokenizer, bool skip_special_tokens);

  // Appends to `out` the text that this token completes.
  void append(TokenId token, std::string& out);

  // Appends what is still held back, as U+FFFD. Afterwards the object is as new.
  void finish(std::string& out);

 private:
  void append_bytes(std::string_view bytes, std::string& out);

  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  std::string held_;  // invariant: empty, or an incomplete UTF-8 sequence of 1 to 3 bytes
};

// The same for all tokens at once.
std::string decode(const Tokenizer& tokenizer, std::span<const TokenId> tokens,
                   bool skip_special_tokens);

}  // namespace hadal
