// The Unicode class of a code point, as far as the pre-tokenizer's patterns tell them apart.
#pragma once

#include <array>
#include <cstdint>

namespace hadal {

// L, M, N, P and S are the general categories of Unicode 14; the white space of \s is in none of
// them. kNewline is \r and \n, which the patterns treat apart from other white space.
enum class CharClass : uint8_t {
  kOther,
  kLetter,
  kMark,
  kNumber,
  kPunctuation,
  kSymbol,
  kSpace,
  kNewline
};

// char_class_table.cpp (generated): code points in blocks of 256, each one a letter.
extern const uint8_t kCharClassBlockOf[4352];
extern const char kCharClassBlocks[];

namespace char_class_detail {
constexpr std::array<CharClass, 128> make_letters() {
  std::array<CharClass, 128> letters{};
  letters['L'] = CharClass::kLetter;
  letters['M'] = CharClass::kMark;
  letters['N'] = CharClass::kNumber;
  letters['P'] = CharClass::kPunctuation;
  letters['S'] = CharClass::kSymbol;
  letters['W'] = CharClass::kSpace;
  letters['R'] = CharClass::kNewline;
  return letters;
}
inline constexpr std::array<CharClass, 128> kLetters = make_letters();
}  // namespace char_class_detail

// REQUIRES: code_point <= U+10FFFF.
inline CharClass char_class(char32_t code_point) {
  const uint32_t block = kCharClassBlockOf[code_point >> 8];
  const char letter = kCharClassBlocks[(block << 8) | (code_point & 0xFF)];
  return char_class_detail::kLetters[static_cast<uint8_t>(letter)];
}

}  // namespace hadal
