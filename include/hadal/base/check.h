// HADAL_CHECK(condition, format, args...): an invariant. A violation is a bug in this program: it
// is logged with file and line and the process aborts. It stays on in release builds.
//
// User input, files and devices are never checked this way; they give an Error (status.h).
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace hadal {

// Logs and aborts. Called by HADAL_CHECK only.
[[noreturn]] void check_failed(std::string_view file, int line, std::string_view condition,
                               std::string_view message);

}  // namespace hadal

#define HADAL_CHECK(condition, ...)                                                         \
  do {                                                                                      \
    if (!(condition)) [[unlikely]] {                                                        \
      ::hadal::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
    }                                                                                       \
  } while (false)
