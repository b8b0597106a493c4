#include "ops/cpu/packed_matrix.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "ops/cpu/numeric_formats.h"

namespace hadal::ops {
namespace {

static_assert(kFp8Block == kBlockInputs);

constexpr int64_t kAlignment = 64;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

TileFormat tile_format(WeightFormat format) {
  switch (format) {
    case WeightFormat::kBf16:
      return TileFormat::kBf16;
    case WeightFormat::kFp8Block:
      return TileFormat::kE4m3;
    case WeightFormat::kNvfp4:
      return TileFormat::kE2m1;
  }
  HADAL_CHECK(false, "weight format {}", static_cast<int>(format));
  return TileFormat::kBf16;
}

int64_t bytes_of_tile(TileFormat format) {
  constexpr int64_t kValues = kTileOutputs * kTileInputs;
  if (format == TileFormat::kBf16) return kValues * 2;
  return format == TileFormat::kE4m3 ? kValues : kValues / 2;
}

// Byte offset inside a tile (packed_matrix.h). For e2m1, of the byte that holds the nibble.
int64_t offset_in_tile(TileFormat format, int n, int k) {
  switch (format) {
    case TileFormat::kBf16:
      return 2 * (k / 2 * 32 + n * 2 + k % 2);
    case TileFormat::kE4m3:
      return k / 4 * 64 + n / 4 * 16 + k / 2 % 2 * 8 + n % 4 * 2 + k % 2;
    case TileFormat::kE2m1:
      return (k / 8 * 16 + n) * 4 + k % 8 / 2;
  }
  return 0;
}

template <typename T>
T read(const std::byte* data, int64_t index) {
  T value;
  std::memcpy(&value, data + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

uint8_t read_nibble(const std::byte* data, int64_t index) {
  const auto pair = read<uint8_t>(data, index / 2);
  return index % 2 == 0 ? pair & 15 : pair >> 4;
}

Error bad_weight(const LinearView& part, const std::string& found) {
  return {ErrorCode::kBadFile, fmt::format("{} {}", part.name, found)};
}

Status check_parts(std::span<const LinearView> parts) {
  HADAL_CHECK(!parts.empty(), "no parts to stack");
  for (const LinearView& part : parts) {
    const LinearView& first = parts.front();
    if (part.format != first.format) {
      return bad_weight(part,
                        fmt::format("and {} are stacked but differ in weight format", first.name));
    }
    if (part.in_features != first.in_features) {
      return bad_weight(part, fmt::format("has {} inputs, wanted the {} of {}", part.in_features,
                                          first.in_features, first.name));
    }
    if (&part != &parts.back() && part.out_features % kTileOutputs != 0) {
      return bad_weight(part,
                        fmt::format("has {} outputs, wanted a multiple of {} to stack another",
                                    part.out_features, kTileOutputs));
    }
    if (part.format == WeightFormat::kNvfp4 && part.in_features % kNvfp4Group != 0) {
      return bad_weight(part, fmt::format("has {} inputs, wanted a multiple of {}",
                                          part.in_features, kNvfp4Group));
    }
  }
  return {};
}

}  // namespace

void PackedMatrix::AlignedFree::operator()(std::byte* p) const {
  std::free(p);
}

PackedMatrix::PackedMatrix(WeightFormat format, int64_t out_features, int64_t in_features) {
  view_.format = tile_format(format);
  view_.outputs = out_features;
  view_.inputs = in_features;
  view_.tile_rows = ceil_div(out_features, kTileOutputs);
  view_.tile_cols = ceil_div(in_features, kTileInputs);
  view_.tile_bytes = bytes_of_tile(view_.format);
  view_.blocks = ceil_div(in_features, kBlockInputs);
  tiles_bytes_ = view_.tile_rows * view_.tile_cols * view_.tile_bytes;
  // All tile sizes are multiples of the alignment, as aligned_alloc wants.
  tiles_.reset(
      static_cast<std::byte*>(std::aligned_alloc(kAlignment, static_cast<size_t>(tiles_bytes_))));
  HADAL_CHECK(tiles_ != nullptr, "no memory for {} bytes of weights", tiles_bytes_);
  std::memset(tiles_.get(), 0, static_cast<size_t>(tiles_bytes_));
  scales_.assign(static_cast<size_t>(view_.tile_rows * view_.blocks), 1.0F);
  if (view_.format == TileFormat::kE2m1) {
    groups_.assign(static_cast<size_t>(view_.tile_rows * view_.tile_cols * 2 * kTileOutputs), 0);
  }
  view_.tiles = reinterpret_cast<const uint8_t*>(tiles_.get());
  view_.groups = groups_.data();
  view_.scales = scales_.data();
}

int64_t PackedMatrix::bytes() const {
  return tiles_bytes_ + static_cast<int64_t>(groups_.size() + scales_.size() * sizeof(float));
}

Result<PackedMatrix> PackedMatrix::pack(std::span<const LinearView> parts) {
  HADAL_RETURN_IF_ERROR(check_parts(parts));
  int64_t outputs = 0;
  for (const LinearView& part : parts) outputs += part.out_features;
  PackedMatrix packed(parts.front().format, outputs, parts.front().in_features);
  int64_t first_output = 0;
  for (const LinearView& part : parts) {
    HADAL_RETURN_IF_ERROR(packed.pack_part(part, first_output));
    first_output += part.out_features;
  }
  return packed;
}

Status PackedMatrix::pack_part(const LinearView& part, int64_t first_output) {
  auto* const tiles = reinterpret_cast<uint8_t*>(tiles_.get());
  for (int64_t row = 0; row < part.out_features; ++row) {
    const int64_t n = first_output + row;
    uint8_t* const tile_row = tiles + n / kTileOutputs * view_.tile_cols * view_.tile_bytes;
    for (int64_t k = 0; k < part.in_features; ++k) {
      uint8_t* const target = tile_row + k / kTileInputs * view_.tile_bytes +
                              offset_in_tile(view_.format, static_cast<int>(n % kTileOutputs),
                                             static_cast<int>(k % kTileInputs));
      const int64_t index = row * part.in_features + k;
      if (view_.format == TileFormat::kBf16) {
        std::memcpy(target, part.data + index * 2, 2);
      } else if (view_.format == TileFormat::kE4m3) {
        *target = read<uint8_t>(part.data, index);
        if (e4m3_is_nan(*target)) {
          return bad_weight(part, fmt::format("holds NaN at [{}, {}]", row, k));
        }
      } else {
        *target = static_cast<uint8_t>(*target | read_nibble(part.data, index) << (k % 2 * 4));
      }
    }
  }
  if (part.format == WeightFormat::kFp8Block) return pack_fp8_scales(part, first_output);
  if (part.format == WeightFormat::kNvfp4) return pack_nvfp4_scales(part, first_output);
  return {};
}

Status PackedMatrix::pack_fp8_scales(const LinearView& part, int64_t first_output) {
  for (int64_t row = 0; row < part.out_features; row += kTileOutputs) {
    const int64_t tile_row = (first_output + row) / kTileOutputs;
    for (int64_t block = 0; block < view_.blocks; ++block) {
      const float scale = read<float>(part.scales, row / kFp8Block * view_.blocks + block);
      if (!std::isfinite(scale)) {
        return bad_weight(
            part, fmt::format("has block scale {} at [{}, {}], wanted a finite number", scale,
                              row / kFp8Block, block));
      }
      scales_[static_cast<size_t>(tile_row * view_.blocks + block)] = scale;
    }
  }
  return {};
}

Status PackedMatrix::pack_nvfp4_scales(const LinearView& part, int64_t first_output) {
  if (!std::isfinite(part.global_scale)) {
    return bad_weight(
        part, fmt::format("has global scale {}, wanted a finite number", part.global_scale));
  }
  const int64_t groups = part.in_features / kNvfp4Group;
  for (int64_t row = 0; row < part.out_features; ++row) {
    const int64_t n = first_output + row;
    const int64_t tile_row = n / kTileOutputs;
    for (int64_t group = 0; group < groups; ++group) {
      const auto code = read<uint8_t>(part.scales, row * groups + group);
      if (e4m3_is_nan(code)) {
        return bad_weight(part, fmt::format("has NaN as scale of group [{}, {}]", row, group));
      }
      const int64_t tile = tile_row * view_.tile_cols + group / 2;
      groups_[static_cast<size_t>((tile * 2 + group % 2) * kTileOutputs + n % kTileOutputs)] = code;
    }
    for (int64_t block = 0; block < view_.blocks; ++block) {
      scales_[static_cast<size_t>(tile_row * view_.blocks + block)] = part.global_scale;
    }
  }
  return {};
}

PackedMatrix PackedMatrix::pack_bf16(const float* values, int64_t out_features,
                                     int64_t in_features) {
  std::vector<uint16_t> rounded(static_cast<size_t>(out_features * in_features));
  for (size_t i = 0; i < rounded.size(); ++i) rounded[i] = f32_to_bf16(values[i]);
  const LinearView view{.format = WeightFormat::kBf16,
                        .out_features = out_features,
                        .in_features = in_features,
                        .data = reinterpret_cast<const std::byte*>(rounded.data())};
  return std::move(pack({&view, 1})).value();  // bf16 is never refused
}

void decode_row(const LinearView& view, int64_t row, float* out) {
  const int64_t scale_cols = ceil_div(view.in_features, kFp8Block);
  for (int64_t k = 0; k < view.in_features; ++k) {
    const int64_t index = row * view.in_features + k;
    switch (view.format) {
      case WeightFormat::kBf16:
        out[k] = bf16_to_f32(read<uint16_t>(view.data, index));
        break;
      case WeightFormat::kFp8Block:
        out[k] = e4m3_to_f32(read<uint8_t>(view.data, index)) *
                 read<float>(view.scales, row / kFp8Block * scale_cols + k / kFp8Block);
        break;
      case WeightFormat::kNvfp4:
        out[k] = kE2m1Values[read_nibble(view.data, index)] *
                 e4m3_to_f32(read<uint8_t>(view.scales, index / kNvfp4Group)) * view.global_scale;
        break;
    }
  }
}

}  // namespace hadal::ops
