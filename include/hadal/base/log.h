// Logging set-up. Modules log through log(): one spdlog logger to stderr, one line a record.
//
// Values that a client or a file supplied are logged through printable(), so that a header or a
// path cannot forge a log line.
#pragma once

#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <string_view>

namespace hadal {

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError };

// Sets the process's logger. Called once by main; without it log() writes at level info. Main
// thread, before other threads start.
void configure_logging(LogLevel level);

// The process's logger. Any thread.
spdlog::logger& log();

// `text` with control characters, DEL, U+2028 and U+2029 and invalid UTF-8 escaped, cut at
// `bytes_max`.
std::string printable(std::string_view text, size_t bytes_max = 256);

}  // namespace hadal
