#include "reference/dequantize.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace hadal::reference {
namespace {

template <typename T>
T load(const std::byte* data, int64_t index) {
  T value;
  std::memcpy(&value, data + index * static_cast<int64_t>(sizeof(T)), sizeof value);
  return value;
}

float element(const LinearView& view, int64_t row, int64_t column) {
  const int64_t index = row * view.in_features + column;
  switch (view.format) {
    case WeightFormat::kBf16:
      return from_bf16(load<uint16_t>(view.data, index));
    case WeightFormat::kFp8Block: {
      const int64_t blocks_in_row = (view.in_features + kFp8Block - 1) / kFp8Block;
      const int64_t block = row / kFp8Block * blocks_in_row + column / kFp8Block;
      return from_e4m3(load<uint8_t>(view.data, index)) * load<float>(view.scales, block);
    }
    case WeightFormat::kNvfp4: {
      const auto pair = load<uint8_t>(view.data, index / 2);
      const unsigned code = column % 2 == 0 ? pair & 15U : pair >> 4U;
      const float group_scale = from_e4m3(load<uint8_t>(view.scales, index / kNvfp4Group));
      return from_e2m1(code) * group_scale * view.global_scale;
    }
  }
  return 0.0F;
}

}  // namespace

float from_bf16(uint16_t bits) {
  return std::bit_cast<float>(uint32_t{bits} << 16U);
}

float from_e4m3(uint8_t code) {
  const int exponent = (code >> 3) & 15;
  const int mantissa = code & 7;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<float>::quiet_NaN();
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

float from_e2m1(unsigned code) {
  const int exponent = static_cast<int>((code >> 1U) & 3U);
  const int mantissa = static_cast<int>(code & 1U);
  const float magnitude = exponent == 0
                              ? 0.5F * static_cast<float>(mantissa)
                              : std::ldexp(static_cast<float>(2 + mantissa), exponent - 2);
  return (code & 8U) != 0 ? -magnitude : magnitude;
}

std::vector<float> dequantize(const LinearView& view) {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(view.out_features * view.in_features));
  for (int64_t row = 0; row < view.out_features; ++row) {
    for (int64_t column = 0; column < view.in_features; ++column) {
      values.push_back(element(view, row, column));
    }
  }
  return values;
}

std::vector<float> dequantize(const VectorView& view) {
  std::vector<float> values;
  for (int64_t i = 0; i < view.size; ++i) {
    values.push_back(view.type == VectorType::kF32 ? load<float>(view.data, i)
                                                   : from_bf16(load<uint16_t>(view.data, i)));
  }
  return values;
}

}  // namespace hadal::reference
