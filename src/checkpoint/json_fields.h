// Typed, range-checked fields of a JSON object; every refusal names key, found and wanted.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "checkpoint/bounded_json.h"
#include "hadal/base/status.h"

namespace hadal::checkpoint {

// Null when `object` is no object or lacks `key`.
inline const nlohmann::json* find(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

inline Error refuse(const std::string& key, const nlohmann::json* found,
                    const std::string& wanted) {
  return {ErrorCode::kBadFile,
          fmt::format("{} is {}, wanted {}", key, found ? shown(*found) : "missing", wanted), key};
}

// JSON spells whole numbers as 40 or 40.0; both are accepted where a number is wanted, only the
// first where a count is.
inline Result<int> parse_integer(const nlohmann::json& object, const char* key, int min, int max) {
  const nlohmann::json* value = find(object, key);
  const bool in_range =
      value != nullptr && value->is_number_integer() && *value >= min && *value <= max;
  if (!in_range) return refuse(key, value, fmt::format("a whole number from {} to {}", min, max));
  return value->get<int>();
}

inline Result<double> parse_number(const nlohmann::json& object, const char* key, double min,
                                   double max) {
  const nlohmann::json* value = find(object, key);
  const bool in_range = value != nullptr && value->is_number() && value->get<double>() >= min &&
                        value->get<double>() <= max;
  if (!in_range) return refuse(key, value, fmt::format("a number from {} to {}", min, max));
  return value->get<double>();
}

}  // namespace hadal::checkpoint
