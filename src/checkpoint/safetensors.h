// The header of one safetensors file, parsed and checked. Pure: no file access.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/base/status.h"

namespace hadal::checkpoint {

inline constexpr uint64_t kHeaderBytesMax = 100'000'000;  // the format's own limit
inline constexpr size_t kTensorDimensionsMax = 8;

enum class StoredType : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E4m3,
  kF8E5m2,
  kF8E8m0,
  kI16,
  kU16,
  kF16,
  kBf16,
  kI32,
  kU32,
  kF32,
  kI64,
  kU64,
  kF64
};
std::string_view name_of(StoredType type);  // the format's spelling, e.g. "F8_E4M3"

struct TensorEntry {
  std::string name;
  StoredType type = StoredType::kU8;
  std::vector<uint64_t> shape;  // empty: a scalar
  uint64_t begin = 0;           // byte offsets from the start of the file
  uint64_t end = 0;
};

// Checks the length word, the JSON and every tensor of it against the file. `file` is the whole
// file; `what` is its name, which begins every error. On success the entries, in file order, cover
// the file after the header exactly: no byte is in none or in two of them.
Result<std::vector<TensorEntry>> parse_safetensors_header(std::span<const std::byte> file,
                                                          std::string_view what);

// "[2, 3]", for messages.
std::string shape_text(std::span<const uint64_t> shape);

}  // namespace hadal::checkpoint
