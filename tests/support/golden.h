// Reads tests/golden.
#pragma once

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hadal/base/check.h"
#include "support/temp_folder.h"

namespace hadal::test {

inline nlohmann::json load_golden(const std::string& name) {
  return nlohmann::json::parse(
      read_file(std::filesystem::path(HADAL_SOURCE_DIR) / "tests/golden" / (name + ".json")));
}

inline std::string decode_base64(const std::string& text) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(kAlphabet.find(c));
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<char>(bits >> count & 0xFF));
    }
  }
  return bytes;
}

// An array written as {"dtype", "shape", "base64"}; T must be as wide as the dtype.
template <typename T>
std::vector<T> golden_array(const nlohmann::json& array) {
  const std::string bytes = decode_base64(array.at("base64").get<std::string>());
  size_t count = 1;
  for (const auto& dimension : array.at("shape")) count *= dimension.get<size_t>();
  HADAL_CHECK(bytes.size() == count * sizeof(T), "{} bytes for {} values", bytes.size(), count);
  std::vector<T> values(count);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

inline std::vector<float> golden_floats(const nlohmann::json& array) {
  return array.is_array() ? array.get<std::vector<float>>() : golden_array<float>(array);
}

}  // namespace hadal::test
