#include "config/settings_file.h"

#include <yaml-cpp/yaml.h>

#include <fstream>
#include <sstream>

#include "hadal/base/log.h"

namespace hadal {
namespace {

Error bad(std::string message) {
  return Error{ErrorCode::kBadFile, std::move(message)};
}

// One walk over a parsed document.
struct Flattener {
  std::string source;
  bool with_lines = false;
  std::vector<Setting> settings;

  std::string place(const YAML::Node& node) const {
    return with_lines ? fmt::format("{} line {}", source, node.Mark().line + 1) : source;
  }

  Status value(const std::string& name, const YAML::Node& node) {
    if (node.IsScalar()) {
      settings.push_back({name, node.Scalar(), place(node)});
      return {};
    }
    std::string joined;
    for (const YAML::Node& item : node) {
      if (!item.IsScalar()) {
        return bad(fmt::format("{}: '{}' holds a list of something else than plain values",
                               place(node), printable(name)));
      }
      joined += (joined.empty() ? "" : ",") + item.Scalar();
    }
    settings.push_back({name, joined, place(node)});
    return {};
  }

  Status map(const std::string& prefix, const YAML::Node& node, int depth) {
    if (depth > SettingsFileLimits::kDepthMax) {
      return bad(
          fmt::format("{}: nested deeper than {}", place(node), SettingsFileLimits::kDepthMax));
    }
    for (const auto& entry : node) {
      const std::string name = prefix + entry.first.as<std::string>();
      // A key without a value is as if it were not there, as in vLLM.
      if (entry.second.IsNull()) continue;
      HADAL_RETURN_IF_ERROR(entry.second.IsMap() ? map(name + ".", entry.second, depth + 1)
                                                 : value(name, entry.second));
    }
    return {};
  }
};

Result<std::vector<Setting>> flatten(const std::string& text, const std::string& prefix,
                                     const std::string& source, bool with_lines) {
  try {
    const YAML::Node root = YAML::Load(text);
    Flattener flattener{.source = source, .with_lines = with_lines};
    if (root.IsNull()) return flattener.settings;
    if (!root.IsMap()) {
      return bad(fmt::format("{}: found '{}', wanted a map of flags", source, printable(text, 40)));
    }
    HADAL_RETURN_IF_ERROR(flattener.map(prefix, root, 1));
    return std::move(flattener.settings);
  } catch (const YAML::Exception& error) {
    return bad(fmt::format("{} line {}: {}", source, error.mark.line + 1, error.msg));
  }
}

}  // namespace

Result<std::vector<Setting>> read_settings_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  if (!file || !(content << file.rdbuf())) {
    return Error{ErrorCode::kIo, fmt::format("--config: cannot read '{}'", printable(path))};
  }
  const std::string text = std::move(content).str();
  if (text.size() > SettingsFileLimits::kBytesMax) {
    return bad(fmt::format("{}: found {} bytes, wanted at most {}", path, text.size(),
                           SettingsFileLimits::kBytesMax));
  }
  return flatten(text, "", path, true);
}

Result<std::vector<Setting>> parse_settings_object(std::string_view name, std::string_view text,
                                                   const std::string& source) {
  return flatten(std::string(text), std::string(name) + ".", source, false);
}

}  // namespace hadal
