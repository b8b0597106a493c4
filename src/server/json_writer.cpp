#include "server/json_writer.h"

#include "hadal/base/utf8.h"

namespace hadal {
namespace {

// Bytes that stand for themselves; everything else is looked at one by one.
bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

void append_escape(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
  }
}

}  // namespace

void append_json_escaped(std::string& out, std::string_view text) {
  size_t begin = 0;  // of the run that is copied as it is
  size_t i = 0;
  const auto flush = [&] { out.append(text, begin, i - begin); };
  while (i < text.size()) {
    if (is_plain(text[i])) {
      ++i;
      continue;
    }
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      flush();
      append_escape(out, text[i]);
      begin = ++i;
      continue;
    }
    const Utf8Char next = decode_utf8(text.substr(i));
    if (!next.valid) {
      flush();
      append_utf8(out, U'\uFFFD');
      begin = i + next.bytes;
    }
    i += next.bytes;
  }
  flush();
}

}  // namespace hadal
