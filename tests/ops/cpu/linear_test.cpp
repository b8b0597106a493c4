// Matrix products of every format and path against double precision, and row by row bit equality.
#include <algorithm>

#include "ops/cpu/support.h"

namespace hadal::ops::test {
namespace {

std::vector<double> multiply(const std::vector<float>& x, const std::vector<double>& w,
                             int64_t rows, int64_t outputs, int64_t inputs) {
  std::vector<double> out(static_cast<size_t>(rows * outputs));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t n = 0; n < outputs; ++n) {
      double sum = 0.0;
      for (int64_t k = 0; k < inputs; ++k) {
        sum +=
            double{x[static_cast<size_t>(r * inputs + k)]} * w[static_cast<size_t>(n * inputs + k)];
      }
      out[static_cast<size_t>(r * outputs + n)] = sum;
    }
  }
  return out;
}

class LinearTest : public PathTest {
 protected:
  std::vector<float> run(const LinearWeight& weight, std::vector<float>& x, int64_t rows,
                         int64_t outputs, int64_t inputs) {
    std::vector<float> out(static_cast<size_t>(rows * outputs), NAN);
    ops_->linear(*context_, view_of(out, rows, outputs), view_of(x, rows, inputs), weight);
    return out;
  }
};

struct Shape {
  int64_t outputs, inputs;
};

// Edges of tiles (16 x 32), of scale blocks (128) and of NVFP4 groups (16).
constexpr Shape kShapes[] = {{1, 16},    {15, 32},   {16, 128}, {17, 144},
                             {128, 256}, {576, 272}, {130, 384}};

TEST_P(LinearTest, MatchesDoublePrecisionInEveryFormat) {
  for (const auto format : {WeightFormat::kBf16, WeightFormat::kFp8Block, WeightFormat::kNvfp4}) {
    for (const auto [outputs, inputs] : kShapes) {
      const TestMatrix m = random_matrix(random_, format, outputs, inputs);
      auto weight = ops_->prepare_linear({&m.view, 1});
      ASSERT_TRUE(weight.ok()) << weight.error().message;
      for (const int64_t rows : {1, 5, 64, 65}) {
        auto x = random_floats(random_, static_cast<size_t>(rows * inputs));
        const auto wanted = multiply(as_seen_by(GetParam(), x), m.values, rows, outputs, inputs);
        EXPECT_LT(relative_error(run(*weight, x, rows, outputs, inputs), wanted), kSumTolerance)
            << "format " << static_cast<int>(format) << " [" << outputs << ", " << inputs << "] x "
            << rows;
      }
    }
  }
}

TEST_P(LinearTest, ARowDoesNotDependOnTheRowsAroundIt) {
  constexpr int64_t kOutputs = 272, kInputs = 400, kRows = 130;
  for (const auto format : {WeightFormat::kBf16, WeightFormat::kFp8Block, WeightFormat::kNvfp4}) {
    const TestMatrix m = random_matrix(random_, format, kOutputs, kInputs);
    const auto weight = std::move(ops_->prepare_linear({&m.view, 1})).value();
    auto x = random_floats(random_, kRows * kInputs);
    const auto all = run(weight, x, kRows, kOutputs, kInputs);
    for (const int64_t rows : {1, 2, 15, 16, 17, 33}) {
      for (const int64_t first : {int64_t{0}, int64_t{31}, kRows - rows}) {
        std::vector<float> part(x.begin() + first * kInputs, x.begin() + (first + rows) * kInputs);
        const auto out = run(weight, part, rows, kOutputs, kInputs);
        EXPECT_TRUE(std::equal(out.begin(), out.end(), all.begin() + first * kOutputs))
            << rows << " rows from " << first;
      }
    }
  }
}

TEST_P(LinearTest, ThreadsDoNotChangeTheResult) {
  constexpr int64_t kOutputs = 576, kInputs = 256, kRows = 100;
  const TestMatrix m = random_matrix(random_, WeightFormat::kFp8Block, kOutputs, kInputs);
  auto x = random_floats(random_, kRows * kInputs);
  std::vector<float> first;
  for (const int threads : {1, 2, 5}) {
    ops_ = make_ops(threads);
    const auto weight = std::move(ops_->prepare_linear({&m.view, 1})).value();
    const auto out = run(weight, x, kRows, kOutputs, kInputs);
    if (first.empty()) first = out;
    EXPECT_EQ(out, first) << threads << " threads";
  }
}

TEST_P(LinearTest, StackedPartsEqualThePartsAlone) {
  for (const auto format : {WeightFormat::kBf16, WeightFormat::kFp8Block, WeightFormat::kNvfp4}) {
    constexpr int64_t kInputs = 256, kRows = 3;
    const TestMatrix a = random_matrix(random_, format, 208, kInputs);
    TestMatrix b = random_matrix(random_, format, 70, kInputs);
    b.view.global_scale *= 3.0F;
    auto x = random_floats(random_, kRows * kInputs);
    const LinearView both[] = {a.view, b.view};
    const auto stacked = run(std::move(ops_->prepare_linear(both)).value(), x, kRows, 278, kInputs);
    const auto alone_a =
        run(std::move(ops_->prepare_linear({&a.view, 1})).value(), x, kRows, 208, kInputs);
    const auto alone_b =
        run(std::move(ops_->prepare_linear({&b.view, 1})).value(), x, kRows, 70, kInputs);
    for (int64_t r = 0; r < kRows; ++r) {
      EXPECT_TRUE(std::equal(alone_a.begin() + r * 208, alone_a.begin() + (r + 1) * 208,
                             stacked.begin() + r * 278));
      EXPECT_TRUE(std::equal(alone_b.begin() + r * 70, alone_b.begin() + (r + 1) * 70,
                             stacked.begin() + r * 278 + 208));
    }
  }
}

// Every code but NaN, at every position of a tile's 64-byte group: 1.0 times the code.
TEST_P(LinearTest, EveryE4m3CodeIsDecodedExactly) {
  constexpr int64_t kInputs = 128, kOutputs = 256;
  TestMatrix m = random_matrix(random_, WeightFormat::kFp8Block, kOutputs, kInputs);
  const float one = 1.0F;
  for (size_t i = 0; i < m.scales.size(); i += 4) std::memcpy(&m.scales[i], &one, 4);
  for (int64_t n = 0; n < kOutputs; ++n) {
    for (int64_t k = 0; k < kInputs; ++k) {
      const auto code = static_cast<uint8_t>(n + k);
      m.data[static_cast<size_t>(n * kInputs + k)] = e4m3_is_nan(code) ? 0 : code;
    }
  }
  const auto weight = std::move(ops_->prepare_linear({&m.view, 1})).value();
  for (int64_t k = 0; k < kInputs; ++k) {
    std::vector<float> x(kInputs, 0.0F);
    x[static_cast<size_t>(k)] = 1.0F;
    const auto out = run(weight, x, 1, kOutputs, kInputs);
    for (int64_t n = 0; n < kOutputs; ++n) {
      ASSERT_EQ(out[static_cast<size_t>(n)],
                e4m3_to_f32(m.data[static_cast<size_t>(n * kInputs + k)]))
          << "output " << n << " input " << k;
    }
  }
}

TEST_P(LinearTest, RefusesWhatItCannotHold) {
  const TestMatrix fp8 = random_matrix(random_, WeightFormat::kFp8Block, 32, 128, "a.q_a_proj");
  const TestMatrix bf16 = random_matrix(random_, WeightFormat::kBf16, 32, 128, "a.kv_a_proj");
  const LinearView mixed[] = {fp8.view, bf16.view};
  EXPECT_THAT(ops_->prepare_linear(mixed).error().message, ::testing::HasSubstr("a.kv_a_proj"));

  const TestMatrix odd = random_matrix(random_, WeightFormat::kBf16, 17, 128, "odd");
  const LinearView odd_first[] = {odd.view, bf16.view};
  EXPECT_THAT(ops_->prepare_linear(odd_first).error().message, ::testing::HasSubstr("17 outputs"));

  const TestMatrix narrow = random_matrix(random_, WeightFormat::kBf16, 32, 96, "narrow");
  const LinearView widths[] = {bf16.view, narrow.view};
  EXPECT_THAT(ops_->prepare_linear(widths).error().message, ::testing::HasSubstr("96 inputs"));

  TestMatrix nan = random_matrix(random_, WeightFormat::kFp8Block, 32, 128, "holds_nan");
  nan.data[5 * 128 + 7] = 0xFF;
  EXPECT_THAT(ops_->prepare_linear({&nan.view, 1}).error().message,
              ::testing::HasSubstr("holds_nan holds NaN at [5, 7]"));

  TestMatrix infinite = random_matrix(random_, WeightFormat::kFp8Block, 32, 128, "scale");
  const float inf = INFINITY;
  std::memcpy(infinite.scales.data(), &inf, 4);
  EXPECT_THAT(ops_->prepare_linear({&infinite.view, 1}).error().message,
              ::testing::HasSubstr("inf"));
}

HADAL_FOR_EVERY_PATH(LinearTest);

}  // namespace
}  // namespace hadal::ops::test
