// --config file.yaml, and the objects that JSON-valued flags hold (JSON is YAML).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hadal/base/status.h"

namespace hadal {

// One flag's value as text, and where it stands ("settings.yaml line 3").
struct Setting {
  std::string name;  // nested keys joined with dots
  std::string text;
  std::string source;
};

struct SettingsFileLimits {
  static constexpr size_t kBytesMax = 1 << 20;
  static constexpr int kDepthMax = 8;
};

// kIo: the file cannot be read; kBadFile: it is not YAML, or not a map of flags.
Result<std::vector<Setting>> read_settings_file(const std::string& path);

// The object that flag `name` was given, as `name.key` settings.
Result<std::vector<Setting>> parse_settings_object(std::string_view name, std::string_view text,
                                                   const std::string& source);

}  // namespace hadal
