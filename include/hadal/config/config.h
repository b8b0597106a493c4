// The settings of one run: command line, then environment, then --config file, then defaults, the
// first that names a flag wins. One table (src/config/flags.cpp) drives all of them and --help.
//
// A Config that parse_command_line() returned is valid: every value is in its range and the values
// fit each other. Only main sees it; other modules get plain structs of core.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/base/log.h"
#include "hadal/base/status.h"
#include "hadal/core/limits.h"

namespace hadal {

enum class Command { kServe, kChat, kVersion, kHelp };

struct ServeConfig {
  std::string model;  // directory of the checkpoint
  std::string host = "0.0.0.0";
  int port = 8000;                              // 0: any free one, printed at start
  std::vector<std::string> served_model_names;  // never empty once parsed; the first one is the
                                                // name in answers
  std::optional<uint64_t> seed;                 // of the seeds drawn for requests that give none
  int threads = 0;                              // CPU backend; 0: one a core
  int64_t kv_cache_memory_bytes = int64_t{48} << 20;  // modest: the CPU backend is for small models
  bool async_scheduling = false;
  std::string speculative_method;    // "mtp", or empty: no speculation
  int num_speculative_tokens = 0;    // K
  std::string chat_format = "auto";  // a name of text/chat_format.h
  int shutdown_timeout_s = 30;       // how long SIGTERM waits for accepted requests
  bool explain = false;
  LogLevel log_level = LogLevel::kInfo;
  Limits limits;
};

struct ChatConfig {
  std::string url = "http://127.0.0.1:8000";
  std::string model;                  // empty: the server's own
  std::string system;                 // system message; empty: none
  int max_tokens = 0;                 // of one answer; 0: what fits
  std::optional<double> temperature;  // none: the server's default
};

struct Config {
  Command command = Command::kHelp;
  ServeConfig serve;
  ChatConfig chat;
  std::string help;  // for kHelp: the text
};

// The value of an environment variable, if it is set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// This process's environment. Read nowhere else.
Environment process_environment();

// `arguments` without the program's name. Errors are one sentence that names the flag (or file and
// line), what was found and what was wanted; an unknown flag's names the nearest one.
Result<Config> parse_command_line(std::span<const char* const> arguments,
                                  const Environment& environment);

}  // namespace hadal
