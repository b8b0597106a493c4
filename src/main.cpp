// The command `hadal`.

#include <fmt/format.h>

#include <iostream>
#include <span>

#include "hadal/bench_client/chat.h"
#include "hadal/config/config.h"
#include "main/serve.h"

namespace {

int run(const hadal::Config& config) {
  switch (config.command) {
    case hadal::Command::kServe:
      return hadal::run_serve(config.serve, HADAL_VERSION);
    case hadal::Command::kChat:
      return hadal::run_chat({.url = config.chat.url,
                              .model = config.chat.model,
                              .system = config.chat.system,
                              .max_tokens = config.chat.max_tokens,
                              .temperature = config.chat.temperature});
    case hadal::Command::kVersion:
      std::cout << "hadal " HADAL_VERSION "\n";
      return 0;
    case hadal::Command::kHelp:
      std::cout << config.help;
      return 0;
  }
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<const char* const> arguments(argv + 1, static_cast<size_t>(argc - 1));
  const auto config = hadal::parse_command_line(arguments, hadal::process_environment());
  if (!config) {
    std::cerr << fmt::format("hadal: error: {} (hadal --help)\n", config.error().message);
    return 2;
  }
  return run(*config);
}
