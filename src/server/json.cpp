#include "server/json.h"

#include <cmath>
#include <limits>

#include "hadal/base/utf8.h"

namespace hadal {
namespace {

Error malformed(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

// Whether brackets outside strings nest deeper than `depth_max`. Looks at brackets only, so that it
// is exact for valid JSON and bounds the parser for anything else.
bool is_deeper(std::string_view text, int depth_max) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > depth_max) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Result<Json> parse_json(std::string_view text, int depth_max) {
  if (const size_t offset = find_invalid_utf8(text); offset != std::string_view::npos) {
    return malformed(fmt::format("the body is not valid UTF-8 at byte {}", offset));
  }
  if (is_deeper(text, depth_max)) {
    return malformed(fmt::format("the body nests deeper than {} levels", depth_max));
  }
  constexpr bool kThrow = false;
  Json parsed = Json::parse(text, nullptr, kThrow);
  if (parsed.is_discarded()) return malformed("the body is not valid JSON");
  return parsed;
}

std::string_view kind_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::boolean:
      return "a boolean";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::object:
      return "an object";
    default:
      return "a number";
  }
}

std::optional<int64_t> integer_in(const Json& value) {
  constexpr auto kMax = std::numeric_limits<int64_t>::max();
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(kMax)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number_float()) {
    // Beyond 2^53 a double no longer says which integer was meant.
    constexpr double kExactMax = 9007199254740992.0;
    const auto number = value.get<double>();
    if (std::abs(number) <= kExactMax && std::trunc(number) == number) {
      return static_cast<int64_t>(number);
    }
  }
  return std::nullopt;
}

JsonFields::JsonFields(const Json& object, std::string path)
    : object_(object), path_(std::move(path)) {
  HADAL_CHECK(object_.is_object(), "fields of {}", kind_of(object_));
}

const Json* JsonFields::find(std::string_view name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::string JsonFields::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

Error JsonFields::error(std::string_view name, std::string message) const {
  return Error{ErrorCode::kInvalidArgument, std::move(message), path_of(name)};
}

Result<std::optional<bool>> JsonFields::boolean(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_boolean()) {
    return error(name, fmt::format("{} must be a boolean, got {}", path_of(name), kind_of(*value)));
  }
  return std::optional<bool>(value->get<bool>());
}

Result<std::optional<int64_t>> JsonFields::integer(std::string_view name, int64_t min,
                                                   int64_t max) const {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<int64_t>();
  if (!value->is_number()) {
    return error(name,
                 fmt::format("{} must be an integer, got {}", path_of(name), kind_of(*value)));
  }
  const auto number = integer_in(*value);
  if (!number || *number < min || *number > max) {
    return error(name, fmt::format("{} must be an integer from {} to {}, got {}", path_of(name),
                                   min, max, value->dump()));
  }
  return number;
}

Result<std::optional<double>> JsonFields::number(std::string_view name, double min,
                                                 double max) const {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<double>();
  if (!value->is_number()) {
    return error(name, fmt::format("{} must be a number, got {}", path_of(name), kind_of(*value)));
  }
  const auto number = value->get<double>();
  if (!(number >= min && number <= max)) {
    return error(name, fmt::format("{} must be in [{}, {}], got {}", path_of(name), min, max,
                                   value->dump()));
  }
  return std::optional<double>(number);
}

Result<std::optional<std::string>> JsonFields::string(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string()) {
    return error(name, fmt::format("{} must be a string, got {}", path_of(name), kind_of(*value)));
  }
  return std::optional<std::string>(value->get_ref<const std::string&>());
}

}  // namespace hadal
