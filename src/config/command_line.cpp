#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <map>

#include "config/flags.h"
#include "config/settings_file.h"
#include "config/values.h"
#include "hadal/config/config.h"

namespace hadal {
namespace {

constexpr std::string_view kUsage =
    "Usage: hadal COMMAND [flags]\n"
    "\n"
    "  serve MODEL   serve a DeepSeek-R1 checkpoint over an OpenAI-compatible API\n"
    "  chat          talk to a server in the terminal\n"
    "  version       print the version\n"
    "\n"
    "hadal COMMAND --help lists its flags.\n";

Error refuse(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

std::string help_text(Command command) {
  const Config defaults;
  std::string out = command == Command::kServe
                        ? "Usage: hadal serve MODEL [flags]\n\n"
                          "Every flag may also stand in a YAML file (--config FILE) or in the "
                          "environment (--max-num-seqs\nas HADAL_MAX_NUM_SEQS); the command line "
                          "wins. '_' may stand for '-'.\n"
                        : "Usage: hadal chat [flags]\n\n"
                          "/quit or end of input leaves; Ctrl-C stops the answer.\n";
  std::string_view group;
  for (const Flag& flag : all_flags()) {
    if (flag.command != command) continue;
    if (flag.group != group) out += fmt::format("\n{}:\n", group = flag.group);
    const std::string_view prefix = flag.kind == FlagKind::kSwitch ? "--[no-]" : "--";
    const std::string left = fmt::format("{}{} {}", prefix, flag.name, flag.value_name);
    const std::string value = flag.show(defaults);
    out += fmt::format("  {:<32} {}{}\n", left, flag.help,
                       value.empty() ? "" : fmt::format(" [{}]", value));
  }
  if (command == Command::kServe) out += "\n  --config FILE                    settings, as YAML\n";
  return out;
}

// The settings of one command, collected from the command line by CLI11.
struct Collected {
  std::vector<Setting> settings;
  std::map<std::string_view, std::string> switches;  // by flag name; empty: not given
  std::string config_path;
};

constexpr const char* kCommandLine = "command line";

void add_flag(CLI::App& app, const Flag& flag, Collected& collected) {
  const auto keep = [&collected, name = std::string(flag.name)](std::string text) {
    collected.settings.push_back({name, std::move(text), kCommandLine});
  };
  if (flag.kind == FlagKind::kSwitch) {
    app.add_flag(fmt::format("--{0}{{true}},--no-{0}{{false}}", flag.name),
                 collected.switches[flag.name]);
    return;
  }
  auto* option = app.add_option_function<std::vector<std::string>>(
      spelled(flag), [keep](const std::vector<std::string>& values) {
        keep(fmt::format("{}", fmt::join(values, ",")));
      });
  if (flag.kind == FlagKind::kList) {
    option->expected(1, 64);
  } else {
    option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
}

// `--max_num_seqs=4` → `--max-num-seqs=4`, if it is a flag; anything else stays as it is.
std::string normalised(Command command, std::string_view argument) {
  if (!argument.starts_with("--")) return std::string(argument);
  const size_t end = std::min(argument.find('='), argument.size());
  const std::string name = dashed(argument.substr(2, end - 2));
  const bool is_negated = name.starts_with("no-") && find_flag(command, name.substr(3));
  if (!is_negated && !find_flag(command, name)) return std::string(argument);
  return fmt::format("--{}{}", name, argument.substr(end));
}

Error unknown_flag(Command command, std::string_view argument) {
  if (!argument.starts_with("-")) {
    return refuse(fmt::format("unexpected argument '{}'", printable(argument)));
  }
  std::vector<std::string_view> names;
  for (const Flag& flag : all_flags()) {
    if (flag.command == command) names.push_back(flag.name);
  }
  const std::string name = dashed(argument.substr(argument.find_first_not_of('-')));
  return refuse(fmt::format("unknown flag '{}'; the nearest one is --{}", printable(argument),
                            nearest(name.substr(0, name.find('=')), names)));
}

Result<Collected> parse_arguments(Command command, std::span<const char* const> arguments,
                                  Config& config) {
  CLI::App app("hadal");
  app.set_help_flag();
  app.allow_extras();
  Collected collected;
  bool help = false;
  app.add_flag("--help,-h", help);
  if (command == Command::kServe) {
    app.add_option("model", config.serve.model);
    app.add_option("--config", collected.config_path);
  }
  for (const Flag& flag : all_flags()) {
    if (flag.command == command) add_flag(app, flag, collected);
  }
  // CLI11 takes the arguments from the back.
  std::vector<std::string> reversed;
  for (const char* argument : arguments) reversed.push_back(normalised(command, argument));
  std::ranges::reverse(reversed);
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::Error& error) {
    return refuse(error.what());
  }
  for (const auto& [name, value] : collected.switches) {
    if (!value.empty()) collected.settings.push_back({std::string(name), value, kCommandLine});
  }
  if (help) {
    config.command = Command::kHelp;
    config.help = help_text(command);
  } else if (const auto extras = app.remaining(); !extras.empty()) {
    return unknown_flag(command, extras.front());
  }
  return collected;
}

Status apply(Config& config, const Setting& setting) {
  // vLLM's settings files hold the positional argument under this name.
  if (config.command == Command::kServe && setting.name == "model") {
    if (config.serve.model.empty()) config.serve.model = setting.text;
    return {};
  }
  const Flag* flag = find_flag(config.command, setting.name);
  if (flag == nullptr) {
    const Error error = unknown_flag(config.command, "--" + setting.name);
    return refuse(fmt::format("{}: {}", setting.source, error.message));
  }
  if (flag->kind == FlagKind::kObject) {
    HADAL_ASSIGN_OR_RETURN(const auto nested,
                           parse_settings_object(flag->name, setting.text, setting.source));
    for (const Setting& item : nested) HADAL_RETURN_IF_ERROR(apply(config, item));
    return {};
  }
  if (const Status status = flag->set(config, setting.text); !status) {
    const std::string_view source = setting.source;
    return refuse(fmt::format("{}{}: {}", source == kCommandLine ? "" : fmt::format("{}: ", source),
                              spelled(*flag), status.error().message));
  }
  return {};
}

std::string variable_name(std::string_view flag) {
  std::string name = "HADAL_" + std::string(flag);
  std::ranges::transform(name, name.begin(), [](char c) {
    if (c == '-' || c == '.') return '_';
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return name;
}

std::vector<Setting> environment_settings(Command command, const Environment& environment) {
  std::vector<Setting> settings;
  for (const Flag& flag : all_flags()) {
    if (flag.command != command) continue;
    const std::string variable = variable_name(flag.name);
    if (const auto value = environment(variable)) {
      settings.push_back({std::string(flag.name), *value, variable});
    }
  }
  return settings;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

Result<Config> parse_command_line(std::span<const char* const> arguments,
                                  const Environment& environment) {
  Config config;
  config.help = kUsage;
  const std::string_view word = arguments.empty() ? "--help" : arguments.front();
  if (word == "--help" || word == "-h" || word == "help") return config;
  if (word == "version" || word == "--version") {
    config.command = Command::kVersion;
    return config;
  }
  if (word != "serve" && word != "chat") {
    return refuse(
        fmt::format("found command '{}', wanted serve, chat or version", printable(word)));
  }
  const Command command = word == "serve" ? Command::kServe : Command::kChat;
  config.command = command;
  HADAL_ASSIGN_OR_RETURN(const auto collected,
                         parse_arguments(command, arguments.subspan(1), config));
  if (config.command == Command::kHelp) return config;

  std::vector<Setting> settings;  // weakest first
  if (!collected.config_path.empty()) {
    HADAL_ASSIGN_OR_RETURN(settings, read_settings_file(collected.config_path));
  }
  std::ranges::copy(environment_settings(command, environment), std::back_inserter(settings));
  std::ranges::copy(collected.settings, std::back_inserter(settings));
  for (const Setting& setting : settings) HADAL_RETURN_IF_ERROR(apply(config, setting));
  HADAL_RETURN_IF_ERROR(complete(config));
  return config;
}

}  // namespace hadal
