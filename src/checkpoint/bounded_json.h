// JSON from an untrusted file: bounded depth, no duplicate keys, no exceptions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "hadal/base/status.h"

namespace hadal::checkpoint {

inline constexpr int kJsonDepthMax = 32;

// Strict RFC 8259 over the whole of `text`. The error (kBadFile) begins with `what`, the file's
// name.
Result<nlohmann::json> parse_json(std::string_view text, std::string_view what);

// A value from a file, short and safe to print in a message.
std::string shown(const nlohmann::json& value);

}  // namespace hadal::checkpoint
