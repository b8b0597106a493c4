#include "checkpoint/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "checkpoint/bounded_json.h"
#include "hadal/base/log.h"

namespace hadal::checkpoint {
namespace {

using nlohmann::json;

struct TypeRow {
  StoredType type;
  std::string_view name;
  uint64_t bytes;
};
constexpr std::array<TypeRow, 16> kTypes{{
    {StoredType::kBool, "BOOL", 1},
    {StoredType::kU8, "U8", 1},
    {StoredType::kI8, "I8", 1},
    {StoredType::kF8E4m3, "F8_E4M3", 1},
    {StoredType::kF8E5m2, "F8_E5M2", 1},
    {StoredType::kF8E8m0, "F8_E8M0", 1},
    {StoredType::kI16, "I16", 2},
    {StoredType::kU16, "U16", 2},
    {StoredType::kF16, "F16", 2},
    {StoredType::kBf16, "BF16", 2},
    {StoredType::kI32, "I32", 4},
    {StoredType::kU32, "U32", 4},
    {StoredType::kF32, "F32", 4},
    {StoredType::kI64, "I64", 8},
    {StoredType::kU64, "U64", 8},
    {StoredType::kF64, "F64", 8},
}};

Error bad(std::string_view what, std::string text) {
  return {ErrorCode::kBadFile, fmt::format("{}{}", what, text)};
}

// The size of a tensor in bytes; empty when it does not fit 64 bits.
std::optional<uint64_t> checked_bytes(std::span<const uint64_t> shape, uint64_t element_bytes) {
  // A zero makes the tensor empty whatever the other dimensions are.
  if (std::find(shape.begin(), shape.end(), 0U) != shape.end()) return 0;
  uint64_t product = element_bytes;
  for (const uint64_t dimension : shape) {
    if (__builtin_mul_overflow(product, dimension, &product)) return std::nullopt;
  }
  return product;
}

Status parse_shape(const json& value, TensorEntry& entry, std::string_view where) {
  if (!value.is_array() || value.size() > kTensorDimensionsMax) {
    return bad(where, fmt::format("shape is {}, wanted a list of at most {} numbers", shown(value),
                                  kTensorDimensionsMax));
  }
  for (const json& dimension : value) {
    if (!dimension.is_number_unsigned()) {
      return bad(where, fmt::format("shape is {}, wanted whole numbers", shown(value)));
    }
    entry.shape.push_back(dimension.get<uint64_t>());
  }
  return {};
}

Status parse_offsets(const json& value, TensorEntry& entry, std::string_view where) {
  if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() ||
      !value[1].is_number_unsigned() || value[0].get<uint64_t>() > value[1].get<uint64_t>()) {
    return bad(where, fmt::format("data_offsets is {}, wanted [begin, end] with begin <= end",
                                  shown(value)));
  }
  entry.begin = value[0].get<uint64_t>();
  entry.end = value[1].get<uint64_t>();
  return {};
}

const json* member(const json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

Result<TensorEntry> parse_entry(const std::string& name, const json& value, std::string_view what) {
  const std::string where = fmt::format("{}: tensor {}: ", what, printable(name));
  if (!value.is_object() || value.size() != 3) {
    return bad(where,
               fmt::format("{}, wanted exactly dtype, shape and data_offsets", shown(value)));
  }
  const json* dtype = member(value, "dtype");
  const json* shape = member(value, "shape");
  const json* offsets = member(value, "data_offsets");
  if (dtype == nullptr || shape == nullptr || offsets == nullptr) {
    return bad(where,
               fmt::format("keys of {}, wanted dtype, shape and data_offsets", shown(value)));
  }
  const auto row = std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeRow& type) {
    return dtype->is_string() && dtype->get_ref<const std::string&>() == type.name;
  });
  if (row == kTypes.end()) {
    return bad(where,
               fmt::format("dtype is {}, wanted a safetensors type such as BF16", shown(*dtype)));
  }
  TensorEntry entry{.name = name, .type = row->type};
  HADAL_RETURN_IF_ERROR(parse_shape(*shape, entry, where));
  HADAL_RETURN_IF_ERROR(parse_offsets(*offsets, entry, where));
  const std::optional<uint64_t> bytes = checked_bytes(entry.shape, row->bytes);
  if (!bytes) {
    return bad(where, fmt::format("shape {} of {} overflows 64 bits", shown(*shape), row->name));
  }
  if (entry.end - entry.begin != *bytes) {
    return bad(where, fmt::format("{} bytes of data, wanted {} for {} {}", entry.end - entry.begin,
                                  *bytes, row->name, shape_text(entry.shape)));
  }
  return entry;
}

// Sorted by offset, the tensors must follow one another from 0 to `data_bytes`.
Status check_coverage(std::vector<TensorEntry>& entries, uint64_t data_bytes,
                      std::string_view what) {
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t covered = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.begin != covered) {
      return bad(what, fmt::format(": tensor {}: data begins at {}, wanted {} ({})",
                                   printable(entry.name), entry.begin, covered,
                                   entry.begin < covered ? "tensors overlap" : "a hole"));
    }
    covered = entry.end;
  }
  if (covered != data_bytes) {
    return bad(what, fmt::format(": {} bytes after the header, wanted {} ({})", data_bytes, covered,
                                 covered > data_bytes ? "truncated file" : "trailing data"));
  }
  return {};
}

Status check_metadata(const json& metadata, std::string_view what) {
  if (!metadata.is_object()) {
    return bad(what, fmt::format(": __metadata__ is {}, wanted an object", shown(metadata)));
  }
  for (const auto& [key, value] : metadata.items()) {
    if (!value.is_string()) {
      return bad(what, fmt::format(": __metadata__ {} is {}, wanted a string", printable(key),
                                   shown(value)));
    }
  }
  return {};
}

// The header's text: what lies between the length word and the data.
Result<std::string_view> header_text(std::span<const std::byte> file, std::string_view what) {
  if (file.size() < sizeof(uint64_t)) {
    return bad(what,
               fmt::format(": {} bytes, wanted at least the 8 of the header length", file.size()));
  }
  uint64_t length = 0;  // little-endian on disk, as every machine this runs on
  std::memcpy(&length, file.data(), sizeof length);
  if (length > kHeaderBytesMax) {
    return bad(what, fmt::format(": header length {}, wanted at most {}", length, kHeaderBytesMax));
  }
  if (length > file.size() - sizeof length) {
    return bad(what, fmt::format(": header length {}, wanted at most the {} bytes that follow",
                                 length, file.size() - sizeof length));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + sizeof length, length);
  if (text.empty() || text.front() != '{') {
    return bad(what, ": the header does not begin with '{'");
  }
  return text;
}

}  // namespace

std::string_view name_of(StoredType type) {
  return kTypes[static_cast<size_t>(type)].name;
}

std::string shape_text(std::span<const uint64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Result<std::vector<TensorEntry>> parse_safetensors_header(std::span<const std::byte> file,
                                                          std::string_view what) {
  HADAL_ASSIGN_OR_RETURN(const std::string_view text, header_text(file, what));
  HADAL_ASSIGN_OR_RETURN(const json header, parse_json(text, fmt::format("{}: the header", what)));
  std::vector<TensorEntry> entries;
  entries.reserve(header.size());
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      HADAL_RETURN_IF_ERROR(check_metadata(value, what));
      continue;
    }
    HADAL_ASSIGN_OR_RETURN(TensorEntry entry, parse_entry(name, value, what));
    entries.push_back(std::move(entry));
  }
  const uint64_t data_begin = sizeof(uint64_t) + text.size();
  HADAL_RETURN_IF_ERROR(check_coverage(entries, file.size() - data_begin, what));
  for (TensorEntry& entry : entries) {
    entry.begin += data_begin;
    entry.end += data_begin;
  }
  return entries;
}

}  // namespace hadal::checkpoint
