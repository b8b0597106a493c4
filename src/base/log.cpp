#include "hadal/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include "hadal/base/utf8.h"

namespace hadal {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

bool breaks_a_line(char32_t c) {
  return c < 0x20 || c == 0x7F || (c >= 0x80 && c < 0xA0) || c == 0x2028 || c == 0x2029;
}

}  // namespace

spdlog::logger& log() {
  static spdlog::logger logger = [] {
    spdlog::logger made("hadal", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.set_pattern("%Y-%m-%d %H:%M:%S.%e %L %v");
    made.flush_on(spdlog::level::info);
    return made;
  }();
  return logger;
}

void configure_logging(LogLevel level) {
  log().set_level(to_spdlog(level));
}

std::string printable(std::string_view text, size_t bytes_max) {
  std::string out;
  const bool cut = text.size() > bytes_max;
  text = text.substr(0, bytes_max);
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (!c.valid) {
      for (char byte : text.substr(0, c.bytes))
        out += fmt::format("\\x{:02x}", static_cast<uint8_t>(byte));
    } else if (breaks_a_line(c.code_point)) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c.code_point));
    } else {
      out += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes);
  }
  if (cut) out += "…";
  return out;
}

}  // namespace hadal
