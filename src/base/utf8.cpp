#include "hadal/base/utf8.h"

#include <cstdint>

namespace hadal {
namespace {

// Number of continuation bytes after a lead byte, and the bounds of the first of them (table 3-7).
struct Lead {
  int continuations = -1;  // -1: not a lead byte
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
};

Lead classify(uint8_t byte) {
  if (byte < 0x80) return {0};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {1};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte < 0xF0) return {2};
  if (byte == 0xF0) return {3, 0x90, 0xBF};
  if (byte < 0xF4) return {3};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {};
}

}  // namespace

Utf8Char decode_utf8(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const Lead lead = classify(at(0));
  if (lead.continuations < 0) return {.bytes = 1};
  if (lead.continuations == 0) return {.code_point = at(0), .bytes = 1, .valid = true};
  char32_t value = at(0) & (0x3F >> lead.continuations);
  for (int i = 1; i <= lead.continuations; ++i) {
    const auto n = static_cast<size_t>(i);
    if (n >= text.size()) return {.bytes = n, .incomplete = true};
    const uint8_t low = i == 1 ? lead.low : 0x80;
    const uint8_t high = i == 1 ? lead.high : 0xBF;
    if (at(n) < low || at(n) > high) return {.bytes = n};
    value = (value << 6) | (at(n) & 0x3F);
  }
  return {.code_point = value, .bytes = static_cast<size_t>(lead.continuations) + 1, .valid = true};
}

size_t find_invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(i));
    if (!c.valid) return i;
    i += c.bytes;
  }
  return std::string_view::npos;
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

}  // namespace hadal
