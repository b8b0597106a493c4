// Writing JSON by appending to a string: no tree, no exceptions, and the output is valid UTF-8
// whatever the input (an invalid sequence becomes U+FFFD).
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "hadal/base/check.h"

namespace hadal {

// `text` as the inside of a JSON string, without the quotes.
void append_json_escaped(std::string& out, std::string_view text);

// Commas are put where they belong. The caller closes what it opens.
class JsonWriter {
 public:
  // Appends to `out`, which outlives this.
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  JsonWriter& key(std::string_view name) {
    separate();
    append_string(name);
    out_ += ':';
    needs_comma_ = false;
    return *this;
  }

  JsonWriter& value(std::string_view text) {
    separate();
    append_string(text);
    return *this;
  }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(std::integral auto number) {
    if constexpr (std::same_as<decltype(number), bool>) return raw(number ? "true" : "false");
    return raw(fmt::format_int(number).c_str());
  }
  JsonWriter& value(double number) { return raw(fmt::format("{}", number)); }
  JsonWriter& null() { return raw("null"); }

  // `key` with `value`.
  template <typename T>
  JsonWriter& field(std::string_view name, const T& content) {
    return key(name).value(content);
  }

 private:
  JsonWriter& open(char bracket) {
    separate();
    out_ += bracket;
    needs_comma_ = false;
    return *this;
  }
  JsonWriter& close(char bracket) {
    out_ += bracket;
    needs_comma_ = true;
    return *this;
  }
  JsonWriter& raw(std::string_view text) {
    separate();
    out_ += text;
    return *this;
  }
  void separate() {
    if (needs_comma_) out_ += ',';
    needs_comma_ = true;
  }
  void append_string(std::string_view text) {
    out_ += '"';
    append_json_escaped(out_, text);
    out_ += '"';
  }

  std::string& out_;
  bool needs_comma_ = false;  // before the next key or value
};

}  // namespace hadal
