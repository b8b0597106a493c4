// Checks of a JSON object against the values that this program implements.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/base/status.h"

namespace hadal {

// `text` parsed, or kBadFile with the byte where it stops being JSON.
Result<nlohmann::json> parse_json(std::string_view file, std::string_view text);

// A value as an error message shows it: scalars in short, containers by kind and size.
std::string describe_json(const nlohmann::json& value);

// What a key may hold: one of `allowed`, where null also stands for an absent key; any value if
// `allowed` is empty.
struct JsonRule {
  std::string_view key;
  std::vector<nlohmann::json> allowed = {};
};

// kUnsupported unless `value` is an object, every key of it has a rule and every rule is kept.
// `path` names the object in the message and ends in "." unless it is the top level.
Status check_json_object(std::string_view file, const std::string& path,
                         const nlohmann::json& value, const std::vector<JsonRule>& rules);

}  // namespace hadal
