// The printable alphabet in which byte-level BPE files spell bytes (GPT-2's): 0x21-0x7E, 0xA1-0xAC
// and 0xAE-0xFF stand for themselves as code points; the other 68 bytes, in increasing order, are
// U+0100 and up.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hadal/base/utf8.h"

namespace hadal {

inline constexpr char32_t kByteSymbolEnd = 0x144;  // one past the largest symbol

constexpr bool is_own_symbol(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// [byte] = its symbol.
inline constexpr std::array<char32_t, 256> kSymbolOfByte = [] {
  std::array<char32_t, 256> symbols{};
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    symbols[static_cast<size_t>(byte)] = is_own_symbol(byte) ? static_cast<char32_t>(byte) : next++;
  }
  return symbols;
}();

// [code point] = the byte it stands for, or -1.
inline constexpr std::array<int16_t, kByteSymbolEnd> kByteOfSymbol = [] {
  std::array<int16_t, kByteSymbolEnd> bytes{};
  bytes.fill(-1);
  for (size_t byte = 0; byte < 256; ++byte) bytes[kSymbolOfByte[byte]] = static_cast<int16_t>(byte);
  return bytes;
}();

// The bytes that a token's spelling stands for; nullopt if a character of it is no symbol.
// REQUIRES: `spelling` is valid UTF-8.
inline std::optional<std::string> bytes_of_symbols(std::string_view spelling) {
  std::string bytes;
  for (size_t i = 0; i < spelling.size();) {
    const Utf8Char c = decode_utf8(spelling.substr(i));
    if (c.code_point >= kByteSymbolEnd || kByteOfSymbol[c.code_point] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kByteOfSymbol[c.code_point]));
    i += c.bytes;
  }
  return bytes;
}

}  // namespace hadal
