// UTF-8 decoding with the rules of the Unicode standard (table 3-7): shortest form, no surrogates,
// up to U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hadal {

struct Utf8Char {
  char32_t code_point = 0;
  size_t bytes = 0;  // length consumed; for an invalid sequence its maximal subpart (at least 1)
  bool valid = false;
  bool incomplete = false;  // invalid only because the text ends: more bytes could make it valid
};

// Decodes the character that starts at text[0]. REQUIRES: !text.empty().
Utf8Char decode_utf8(std::string_view text);

// Byte offset of the first invalid sequence, or npos.
size_t find_invalid_utf8(std::string_view text);

void append_utf8(std::string& out, char32_t code_point);

}  // namespace hadal
