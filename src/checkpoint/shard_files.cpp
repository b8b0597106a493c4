#include "checkpoint/shard_files.h"

#include <fmt/format.h>

#include <set>
#include <system_error>
#include <utility>

#include "checkpoint/bounded_json.h"
#include "checkpoint/mapped_file.h"
#include "hadal/base/log.h"

namespace hadal::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kSingleName = "model.safetensors";
constexpr std::string_view kSuffix = ".safetensors";
constexpr size_t kIndexBytesMax = 256u << 20;

Status check_plain_name(const std::string& name) {
  const bool plain = name.size() > kSuffix.size() && name.ends_with(kSuffix) &&
                     name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
  if (plain) return {};
  return Error{ErrorCode::kBadFile,
               fmt::format("{}: shard name '{}', wanted a plain file name ending in {}", kIndexName,
                           printable(name), kSuffix)};
}

bool is_below(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

// A symbolic link must end in the folder itself, or, where the folder is the snapshot of a Hugging
// Face cache (<model>/snapshots/<revision>), in that model's blobs.
Status check_target(const fs::path& folder, const std::string& name) {
  std::error_code failure;
  const fs::path root = fs::canonical(folder, failure);
  const fs::path target = failure ? fs::path() : fs::canonical(folder / name, failure);
  if (failure) {
    const ErrorCode code =
        failure == std::errc::no_such_file_or_directory ? ErrorCode::kNotFound : ErrorCode::kIo;
    return Error{
        code, fmt::format("shard {}: {}", printable((folder / name).native()), failure.message())};
  }
  if (is_below(target, root)) return {};
  const fs::path snapshots = root.parent_path();
  if (snapshots.filename() == "snapshots" && is_below(target, snapshots.parent_path() / "blobs")) {
    return {};
  }
  return Error{ErrorCode::kBadFile,
               fmt::format("shard {} leads to {}, wanted a file in its folder",
                           printable((folder / name).native()), printable(target.native()))};
}

Result<ShardFiles> from_index(const fs::path& folder) {
  HADAL_ASSIGN_OR_RETURN(const std::string text,
                         read_text_file(folder / kIndexName, kIndexBytesMax));
  HADAL_ASSIGN_OR_RETURN(const nlohmann::json index, parse_json(text, kIndexName));
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object() || map->empty()) {
    return Error{
        ErrorCode::kBadFile,
        fmt::format("{}: no weight_map, wanted an object of tensor name: shard name", kIndexName)};
  }
  ShardFiles files;
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string()) {
      return Error{ErrorCode::kBadFile,
                   fmt::format("{}: shard of tensor {} is {}, wanted a file name", kIndexName,
                               printable(tensor), shown(shard))};
    }
    files.index.emplace(tensor, shard.get<std::string>());
    names.insert(shard.get<std::string>());
  }
  files.names.assign(names.begin(), names.end());
  return files;
}

}  // namespace

Result<ShardFiles> find_shard_files(const fs::path& folder) {
  std::error_code ignored;
  ShardFiles files;
  if (fs::exists(folder / kIndexName, ignored)) {
    HADAL_ASSIGN_OR_RETURN(files, from_index(folder));
  } else if (fs::exists(folder / kSingleName, ignored)) {
    files.names = {kSingleName};
  } else {
    return Error{ErrorCode::kNotFound,
                 fmt::format("{} holds neither {} nor {}", printable(folder.native()), kIndexName,
                             kSingleName)};
  }
  for (const std::string& name : files.names) {
    HADAL_RETURN_IF_ERROR(check_plain_name(name));
    HADAL_RETURN_IF_ERROR(check_target(folder, name));
  }
  return files;
}

}  // namespace hadal::checkpoint
