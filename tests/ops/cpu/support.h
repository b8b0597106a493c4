// Random weights in every checkpoint format with the exact values they stand for, and small helpers
// to run one operation. The twins in the tests compute with these values in double precision.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "hadal/checkpoint/weight_view.h"
#include "hadal/ops/cpu/cpu_ops.h"
#include "ops/cpu/numeric_formats.h"

namespace hadal::ops::test {

inline constexpr uint64_t kSeed = 20261124;

using Random = std::mt19937_64;

inline float uniform(Random& random, float low, float high) {
  return low + (high - low) * static_cast<float>(random() >> 40) * 0x1p-24F;
}

inline std::vector<float> random_floats(Random& random, size_t count, float scale = 1.0F) {
  std::vector<float> values(count);
  for (float& v : values) v = uniform(random, -scale, scale);
  return values;
}

// Owns a checkpoint-format matrix. values[r * cols + c] is what the format says, in double.
struct TestMatrix {
  std::vector<uint8_t> data;
  std::vector<uint8_t> scales;
  std::vector<double> values;
  LinearView view;

  TestMatrix() = default;
  TestMatrix(TestMatrix&&) = default;
  TestMatrix& operator=(TestMatrix&&) = default;
};

inline void fill_bf16(TestMatrix& m, Random& random) {
  const auto count = static_cast<size_t>(m.view.out_features * m.view.in_features);
  m.data.resize(count * 2);
  for (size_t i = 0; i < count; ++i) {
    const uint16_t bits = f32_to_bf16(uniform(random, -0.1F, 0.1F));
    std::memcpy(&m.data[i * 2], &bits, 2);
    m.values[i] = bf16_to_f32(bits);
  }
}

// All codes but NaN appear, subnormals included.
inline void fill_fp8(TestMatrix& m, Random& random) {
  const int64_t rows = m.view.out_features, cols = m.view.in_features;
  const int64_t scale_cols = (cols + 127) / 128, scale_rows = (rows + 127) / 128;
  std::vector<float> scales(static_cast<size_t>(scale_rows * scale_cols));
  for (float& s : scales) s = uniform(random, 0.0001F, 0.0004F);
  m.scales.resize(scales.size() * 4);
  std::memcpy(m.scales.data(), scales.data(), m.scales.size());
  m.data.resize(static_cast<size_t>(rows * cols));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      auto code = static_cast<uint8_t>(random());
      if (e4m3_is_nan(code)) code ^= 1;
      m.data[static_cast<size_t>(r * cols + c)] = code;
      m.values[static_cast<size_t>(r * cols + c)] =
          double{e4m3_to_f32(code)} * scales[static_cast<size_t>(r / 128 * scale_cols + c / 128)];
    }
  }
}

inline void fill_nvfp4(TestMatrix& m, Random& random) {
  const int64_t rows = m.view.out_features, cols = m.view.in_features;
  m.view.global_scale = 0.0007F;
  m.scales.resize(static_cast<size_t>(rows * cols / 16));
  for (uint8_t& s : m.scales) s = static_cast<uint8_t>(random() % 0x70);  // positive, 0 included
  m.data.assign(static_cast<size_t>(rows * cols / 2), 0);
  for (int64_t i = 0; i < rows * cols; ++i) {
    const auto code = static_cast<uint8_t>(random() & 15);
    uint8_t& pair = m.data[static_cast<size_t>(i / 2)];
    pair = static_cast<uint8_t>(pair | code << (i % 2 * 4));
    m.values[static_cast<size_t>(i)] = double{kE2m1Values[code]} *
                                       e4m3_to_f32(m.scales[static_cast<size_t>(i / 16)]) *
                                       double{m.view.global_scale};
  }
}

inline TestMatrix random_matrix(Random& random, WeightFormat format, int64_t rows, int64_t cols,
                                std::string name = "test_proj") {
  TestMatrix m;
  m.view.name = std::move(name);
  m.view.format = format;
  m.view.out_features = rows;
  m.view.in_features = cols;
  m.values.resize(static_cast<size_t>(rows * cols));
  if (format == WeightFormat::kBf16) fill_bf16(m, random);
  if (format == WeightFormat::kFp8Block) fill_fp8(m, random);
  if (format == WeightFormat::kNvfp4) fill_nvfp4(m, random);
  m.view.data = reinterpret_cast<const std::byte*>(m.data.data());
  m.view.scales = reinterpret_cast<const std::byte*>(m.scales.data());
  return m;
}

struct TestVector {
  std::vector<float> values;
  VectorView view() const {
    return {.name = "test_vector",
            .type = VectorType::kF32,
            .size = static_cast<int64_t>(values.size()),
            .data = reinterpret_cast<const std::byte*>(values.data())};
  }
};

inline TestVector random_vector(Random& random, size_t size) {
  TestVector v{random_floats(random, size, 0.5F)};
  for (float& x : v.values) x += 1.0F;
  return v;
}

inline TensorView view_of(std::vector<float>& values, int64_t rows, int64_t cols) {
  return {values.data(), DType::kF32, rows, cols};
}

// Distance between two results: largest difference over the largest magnitude of the wanted ones.
template <typename Wanted>
double relative_error(const std::vector<float>& found, const std::vector<Wanted>& wanted) {
  double difference = 0.0, magnitude = 1e-30;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double d = std::abs(static_cast<double>(found[i]) - static_cast<double>(wanted[i]));
    if (!(d <= difference)) difference = d;  // keeps NaN
    magnitude = std::max(magnitude, std::abs(static_cast<double>(wanted[i])));
  }
  return difference / magnitude;
}

// Whether the path rounds the inputs of matrix products to bf16 (cpu_ops.h).
inline bool rounds_inputs(CpuIsa isa) {
  return isa == CpuIsa::kAvx512 || isa == CpuIsa::kAmx;
}

// What a matrix product of the path computes with.
inline std::vector<float> as_seen_by(CpuIsa isa, std::vector<float> x) {
  if (rounds_inputs(isa)) {
    for (float& v : x) v = bf16_to_f32(f32_to_bf16(v));
  }
  return x;
}

// With equal inputs only the order of fp32 sums differs.
inline constexpr double kSumTolerance = 5e-6;

// One test per path that the machine has.
class PathTest : public ::testing::TestWithParam<CpuIsa> {
 protected:
  std::unique_ptr<Ops> make_ops(int threads = 2) {
    return std::move(make_cpu_ops({.threads = threads, .isa = GetParam()})).value();
  }
  std::unique_ptr<Ops> ops_ = make_ops();
  std::unique_ptr<ExecContext> context_ = ops_->make_context(1 << 20);
  Random random_{kSeed};
};

inline std::string path_name(const ::testing::TestParamInfo<CpuIsa>& info) {
  return std::string(cpu_isa_name(info.param));
}

}  // namespace hadal::ops::test

#define HADAL_FOR_EVERY_PATH(Suite) \
  INSTANTIATE_TEST_SUITE_P(Path, Suite, ::testing::ValuesIn(available_cpu_isas()), path_name)
