#include "text/piece_scanner.h"

namespace hadal {
namespace {

constexpr size_t kNumbersPerPiece = 3;

bool is_ascii_letter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool is_word(CharClass cls) {
  return cls == CharClass::kLetter || cls == CharClass::kMark;
}
bool is_sign(CharClass cls) {
  return cls == CharClass::kPunctuation || cls == CharClass::kSymbol;
}
bool is_space(CharClass cls) {
  return cls == CharClass::kSpace || cls == CharClass::kNewline;
}

bool is_han_or_kana(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF);
}

struct Decoded {
  char32_t code_point;
  size_t bytes;
};

// REQUIRES: a multi-byte sequence starts at `at`, and the text is valid UTF-8.
Decoded decode_multibyte(const char* at) {
  const auto bits = [at](int i) { return static_cast<char32_t>(at[i] & 0x3F); };
  const auto lead = static_cast<uint8_t>(at[0]);
  if (lead < 0xE0) return {(lead & 0x1FU) << 6 | bits(1), 2};
  if (lead < 0xF0) return {(lead & 0x0FU) << 12 | bits(1) << 6 | bits(2), 3};
  return {(lead & 0x07U) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3), 4};
}

}  // namespace

PieceScanner::Char PieceScanner::char_at(size_t pos, Stretch& stretch) const {
  if (pos >= text_.size()) return {};
  char32_t code_point = static_cast<uint8_t>(text_[pos]);
  const bool ascii = code_point < 0x80;
  size_t bytes = 1;
  if (!ascii) {
    const Decoded decoded = decode_multibyte(text_.data() + pos);
    code_point = decoded.code_point;
    bytes = decoded.bytes;
  }
  const CharClass cls = char_class(code_point);
  stretch = cls == CharClass::kNumber    ? Stretch::kNumbers
            : is_han_or_kana(code_point) ? Stretch::kHanKana
                                         : Stretch::kRest;
  return {.end = false, .cls = cls, .ascii = ascii ? text_[pos] : '\0', .next = pos + bytes};
}

PieceScanner::Char PieceScanner::peek(size_t pos) const {
  Stretch stretch = stretch_;
  const Char c = char_at(pos, stretch);
  return stretch == stretch_ ? c : Char{};
}

// The position of the first character at or after `pos` that fails, or the stretch's end.
template <typename Predicate>
size_t PieceScanner::skip_while(size_t pos, Predicate predicate) const {
  for (Char c = peek(pos); !c.end && predicate(c); c = peek(pos)) pos = c.next;
  return pos;
}

bool PieceScanner::next(std::string_view& piece) {
  const size_t begin = pos_;
  const Char first = char_at(begin, stretch_);
  if (first.end) return false;
  if (stretch_ == Stretch::kNumbers) {
    size_t count = 0;
    pos_ = skip_while(begin, [&](const Char&) { return count++ < kNumbersPerPiece; });
  } else {
    pos_ = match(begin, first);
    if (pos_ == begin) {  // no match here: the stretch up to the next one is a piece
      Char c = first;
      do {
        pos_ = c.next;
        c = peek(pos_);
      } while (!c.end && match(pos_, c) == pos_);
    }
  }
  piece = text_.substr(begin, pos_ - begin);
  return true;
}

// Where the match of split 3 that starts at `pos` ends; `pos` if none does. `c` is the character
// there. The alternatives are told apart by the class of the first character or two.
size_t PieceScanner::match(size_t pos, const Char& c) const {
  const auto word = [](const Char& x) { return is_word(x.cls); };
  const auto sign = [](const Char& x) { return is_sign(x.cls); };
  const auto signs_and_newlines = [&](size_t from) {
    return skip_while(skip_while(from, sign),
                      [](const Char& x) { return x.cls == CharClass::kNewline; });
  };
  if (is_word(c.cls)) return skip_while(c.next, word);
  const Char second = peek(c.next);
  if (is_sign(c.cls)) {
    if (c.ascii != '\0' && !second.end && is_ascii_letter(second.ascii)) {
      return skip_while(c.next, [](const Char& x) { return is_ascii_letter(x.ascii); });
    }
    return signs_and_newlines(pos);
  }
  if (c.cls != CharClass::kNewline && !second.end && is_word(second.cls)) {
    return skip_while(c.next, word);
  }
  if (c.ascii == ' ' && !second.end && is_sign(second.cls)) return signs_and_newlines(c.next);
  return is_space(c.cls) ? match_space(pos) : pos;
}

// The last three alternatives, for a run of white space that starts at `pos`: up to its last
// newline, if it has one; else all of it, less one character if something else follows (the
// look-ahead steps back by one), but at least one character.
size_t PieceScanner::match_space(size_t pos) const {
  size_t after_newline = pos;
  size_t before_last = pos;
  size_t end = pos;
  Char c = peek(pos);
  for (; !c.end && is_space(c.cls); c = peek(end)) {
    before_last = end;
    end = c.next;
    if (c.cls == CharClass::kNewline) after_newline = end;
  }
  if (after_newline != pos) return after_newline;
  return c.end || before_last == pos ? end : before_last;
}

}  // namespace hadal
