// Which safetensors files a model folder consists of, and what its index claims about them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "hadal/base/status.h"

namespace hadal::checkpoint {

struct ShardFiles {
  std::vector<std::string> names;            // ascending, distinct; in the folder
  std::map<std::string, std::string> index;  // tensor name -> shard name; empty: no index file
};

// From model.safetensors.index.json if it exists, else the single file model.safetensors. Names
// come from an untrusted file: each must be a plain file name ending in .safetensors that does not
// lead out of the folder.
Result<ShardFiles> find_shard_files(const std::filesystem::path& folder);

}  // namespace hadal::checkpoint
