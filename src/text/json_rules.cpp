#include "text/json_rules.h"

#include <algorithm>

namespace hadal {
namespace {

using nlohmann::json;

constexpr size_t kShownBytesMax = 120;

std::string shown_list(const std::vector<json>& values) {
  std::string text;
  for (const json& value : values) {
    if (!text.empty()) text += " or ";
    text += value.is_null() ? "null" : value.dump();
  }
  return text;
}

}  // namespace

Result<json> parse_json(std::string_view file, std::string_view text) {
  try {
    return json::parse(text);
  } catch (const json::parse_error& e) {
    return Error{ErrorCode::kBadFile, fmt::format("{} is not JSON: byte {} of {} is unexpected",
                                                  file, e.byte, text.size())};
  } catch (const json::exception& e) {  // such as a number out of range
    return Error{ErrorCode::kBadFile, fmt::format("{} is not JSON: {}", file, e.what())};
  }
}

std::string describe_json(const json& value) {
  if (value.is_object()) return fmt::format("an object of {} keys", value.size());
  if (value.is_array()) return fmt::format("an array of {}", value.size());
  std::string text = value.dump();
  if (text.size() > kShownBytesMax) {
    size_t cut = kShownBytesMax;
    while ((static_cast<uint8_t>(text[cut]) & 0xC0) == 0x80) --cut;  // not inside a character
    text = text.substr(0, cut) + "…";
  }
  return text;
}

Status check_json_object(std::string_view file, const std::string& path, const json& value,
                         const std::vector<JsonRule>& rules) {
  const auto refuse = [&](std::string_view key, const std::string& found, std::string_view wanted) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{}: {}{} is {}, wanted {}", file, path, key, found, wanted)};
  };
  if (!value.is_object()) {
    const std::string name = path.empty() ? "the top level" : path.substr(0, path.size() - 1);
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{}: {} is {}, wanted an object", file, name, describe_json(value))};
  }
  for (const auto& [key, item] : value.items()) {
    const auto known = [&](const JsonRule& rule) { return rule.key == key; };
    if (std::ranges::none_of(rules, known)) {
      return refuse(key, describe_json(item), "no such key");
    }
  }
  const json absent;
  for (const JsonRule& rule : rules) {
    const auto found = value.find(rule.key);
    const json& item = found == value.end() ? absent : *found;
    const auto equal = [&](const json& allowed) { return allowed == item; };
    if (rule.allowed.empty() || std::ranges::any_of(rule.allowed, equal)) continue;
    return refuse(rule.key, found == value.end() ? "absent" : describe_json(*found),
                  shown_list(rule.allowed));
  }
  return {};
}

}  // namespace hadal
