// Reading JSON that a stranger sent. Nothing here throws, recurses with the input or narrows a
// number silently.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "hadal/base/status.h"

namespace hadal {

using Json = nlohmann::json;

// kInvalidArgument: not UTF-8 (naming the byte offset), nested deeper than `depth_max`, or not
// JSON.
Result<Json> parse_json(std::string_view text, int depth_max);

// Typed access to the fields of one object. A field that is absent or null is an empty optional.
// Errors are kInvalidArgument, their param the field's dotted path.
class JsonFields {
 public:
  // `path` is the object's own: "" for the body, else for example "messages[3]".
  // REQUIRES: object.is_object(); it outlives this.
  JsonFields(const Json& object, std::string path);

  // nullptr: absent or null.
  const Json* find(std::string_view name) const;
  std::string path_of(std::string_view name) const;

  Result<std::optional<bool>> boolean(std::string_view name) const;
  // An integer, or a number without a fraction, in [min, max].
  Result<std::optional<int64_t>> integer(std::string_view name, int64_t min, int64_t max) const;
  // In [min, max].
  Result<std::optional<double>> number(std::string_view name, double min, double max) const;
  Result<std::optional<std::string>> string(std::string_view name) const;

  Error error(std::string_view name, std::string message) const;

 private:
  const Json& object_;
  std::string path_;
};

// The integer in `value`, if it is one (5 and 5.0 are, "5" and true are not) and fits.
std::optional<int64_t> integer_in(const Json& value);

// "a string", "an array" …, for messages.
std::string_view kind_of(const Json& value);

}  // namespace hadal
