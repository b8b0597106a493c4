// Checkpoint views over values in memory, for tests that give an Ops weights of their own. The
// owner must outlive the views.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "hadal/checkpoint/weight_view.h"
#include "hadal/ops/tensor.h"

namespace hadal::test {

// Round to nearest even. REQUIRES: x is finite.
inline uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline std::vector<uint16_t> to_bf16(const std::vector<float>& values) {
  std::vector<uint16_t> bits;
  for (const float value : values) bits.push_back(to_bf16(value));
  return bits;
}

inline LinearView bf16_view(const std::vector<uint16_t>& bits, int64_t out, int64_t in) {
  return {.name = "test",
          .format = WeightFormat::kBf16,
          .out_features = out,
          .in_features = in,
          .data = reinterpret_cast<const std::byte*>(bits.data())};
}

inline VectorView bf16_vector(const std::vector<uint16_t>& bits) {
  return {.name = "test",
          .type = VectorType::kBf16,
          .size = static_cast<int64_t>(bits.size()),
          .data = reinterpret_cast<const std::byte*>(bits.data())};
}

inline VectorView f32_vector(const std::vector<float>& values) {
  return {.name = "test",
          .type = VectorType::kF32,
          .size = static_cast<int64_t>(values.size()),
          .data = reinterpret_cast<const std::byte*>(values.data())};
}

// [n, n] ones on the diagonal: a linear that gives its input.
inline std::vector<uint16_t> identity_bf16(int64_t n) {
  std::vector<uint16_t> bits(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) bits[static_cast<size_t>(i * n + i)] = to_bf16(1.0F);
  return bits;
}

inline ops::TensorView f32_tensor(std::vector<float>& values, int64_t cols) {
  return {values.data(), ops::DType::kF32, static_cast<int64_t>(values.size()) / cols, cols};
}

}  // namespace hadal::test
