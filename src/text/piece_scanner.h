// Cuts text into the pieces within which BPE merges: the pre-tokenizer of DeepSeek-V3/R1.
//
// The tokenizer file states it as three splits, each applied to every piece that the previous one
// left, matched and unmatched stretches both surviving as pieces:
//   1. \p{N}{1,3}
//   2. [\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+
//   3. [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+
//      |[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
//      | ?[\p{P}\p{S}]+[\r\n]*
//      |\s*[\r\n]+
//      |\s+(?!\S)
//      |\s+
// Splits 1 and 2 cut the text into maximal *stretches* of one kind (numbers, Han and kana, the
// rest); number stretches are then chopped by three, and split 3 sees every other stretch alone. So
// its look-ahead sees the stretch's end as the end of text, which is why the three patterns cannot
// be folded into one. No pattern looks behind: a piece depends only on what follows its start, and
// the scanner keeps no state but its position.
//
// Linear time: a character is looked at no more than a fixed number of times.
#pragma once

#include <cstddef>
#include <string_view>

#include "text/char_class.h"

namespace hadal {

class PieceScanner {
 public:
  // REQUIRES: `text` is valid UTF-8 and outlives this object.
  explicit PieceScanner(std::string_view text) : text_(text) {}

  // The next piece (not empty); false at the end. The pieces joined are the text.
  bool next(std::string_view& piece);

 private:
  enum class Stretch { kNumbers, kHanKana, kRest };
  struct Char {
    bool end = true;  // of the text or of the stretch; the other fields mean nothing then
    CharClass cls = CharClass::kOther;
    char ascii = '\0';  // the character itself, if it is ASCII
    size_t next = 0;    // where the following one starts
  };

  Char char_at(size_t pos, Stretch& stretch) const;
  Char peek(size_t pos) const;
  size_t match(size_t pos, const Char& c) const;
  size_t match_space(size_t pos) const;
  template <typename Predicate>
  size_t skip_while(size_t pos, Predicate predicate) const;

  std::string_view text_;
  size_t pos_ = 0;
  Stretch stretch_ = Stretch::kRest;  // the kind of the stretch that pos_ is in
};

}  // namespace hadal
