// Writes safetensors files and model folders for tests, right ones and wrong ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/temp_folder.h"

namespace hadal::test {

inline const std::filesystem::path kTinyR1 =
    std::filesystem::path(HADAL_SOURCE_DIR) / "tests/models/tiny-r1";

struct FileTensor {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::string data;
};

// The length word, `header` as it is, and `data`.
inline std::string safetensors_file(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + data;
}

// A well-formed file.
inline std::string safetensors_file(const std::vector<FileTensor>& tensors) {
  nlohmann::json header = nlohmann::json::object();
  std::string data;
  for (const FileTensor& t : tensors) {
    header[t.name] = {{"dtype", t.dtype},
                      {"shape", t.shape},
                      {"data_offsets", {data.size(), data.size() + t.data.size()}}};
    data += t.data;
  }
  return safetensors_file(header.dump(), data);
}

inline std::string bytes_of(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline FileTensor bf16_tensor(std::string name, std::vector<uint64_t> shape) {
  uint64_t count = 1;
  for (const uint64_t dimension : shape) count *= dimension;
  return {std::move(name), "BF16", std::move(shape), std::string(2 * count, '\1')};
}

inline nlohmann::json tiny_r1_config() {
  return nlohmann::json::parse(read_file(kTinyR1 / "config.json"));
}

// A folder with tiny-r1's config and the one shard `tensors`.
inline void write_model(const TempFolder& folder, const std::vector<FileTensor>& tensors) {
  folder.write("config.json", tiny_r1_config().dump());
  folder.write("model.safetensors", safetensors_file(tensors));
}

}  // namespace hadal::test
