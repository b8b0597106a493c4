// The one table of flags. Command line, environment, settings file and --help all read it.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/base/status.h"
#include "hadal/config/config.h"

namespace hadal {

enum class FlagKind {
  kValue,   // --name VALUE
  kList,    // --name VALUE [VALUE ...]; its text form joins them with commas
  kSwitch,  // --name, --no-name
  kObject,  // --name '{"key": value}', the same as --name.key value for each key
};

struct Flag {
  Command command = Command::kServe;
  FlagKind kind = FlagKind::kValue;
  std::string_view group;
  std::string_view name;  // lower case with dashes; a dot before a nested name
  std::string_view value_name;
  std::string_view help;
  // Sets the value from its text form. The error's message says found and wanted; the caller adds
  // where the text came from.
  std::function<Status(Config&, std::string_view)> set;
  std::function<std::string(const Config&)> show;  // the text form of the current value
};

std::span<const Flag> all_flags();

// `name` as typed, with `_` for `-` anywhere. nullptr: no such flag of this command.
const Flag* find_flag(Command command, std::string_view name);

// "--name", for messages.
std::string spelled(const Flag& flag);

// `_` → `-`.
std::string dashed(std::string_view name);

// Checks across flags, and derived defaults. Once, after all sources.
Status complete(Config& config);

}  // namespace hadal
