// Embedding, norms, activation, gathering and the memory classes.
#include <algorithm>

#include "hadal/core/limits.h"
#include "ops/cpu/rope.h"
#include "ops/cpu/support.h"
#include "support/specs.h"

namespace hadal::ops::test {
namespace {

constexpr int64_t kWidths[] = {1, 15, 16, 17, 33, 256};

class ElementwiseTest : public PathTest {};

TEST_P(ElementwiseTest, RmsNormMatchesDoublePrecisionAndMayBeInPlace) {
  for (const int64_t n : kWidths) {
    const TestVector w = random_vector(random_, static_cast<size_t>(n));
    const auto weight = std::move(ops_->prepare_vector(w.view())).value();
    auto x = random_floats(random_, static_cast<size_t>(3 * n), 50.0F);
    std::vector<double> wanted;
    for (int64_t r = 0; r < 3; ++r) {
      double squares = 0.0;
      for (int64_t i = 0; i < n; ++i)
        squares += double{x[static_cast<size_t>(r * n + i)]} * x[static_cast<size_t>(r * n + i)];
      for (int64_t i = 0; i < n; ++i) {
        wanted.push_back(x[static_cast<size_t>(r * n + i)] /
                         std::sqrt(squares / static_cast<double>(n) + 1e-6) *
                         w.values[static_cast<size_t>(i)]);
      }
    }
    std::vector<float> out(x.size(), NAN);
    ops_->rms_norm(*context_, view_of(out, 3, n), view_of(x, 3, n), weight, 1e-6F);
    EXPECT_LT(relative_error(out, wanted), 1e-6) << n;
    ops_->rms_norm(*context_, view_of(x, 3, n), view_of(x, 3, n), weight, 1e-6F);
    EXPECT_EQ(x, out) << n;
  }
}

TEST_P(ElementwiseTest, AddRmsNormUpdatesTheResidual) {
  for (const int64_t n : kWidths) {
    const TestVector w = random_vector(random_, static_cast<size_t>(n));
    const auto weight = std::move(ops_->prepare_vector(w.view())).value();
    auto residual = random_floats(random_, static_cast<size_t>(2 * n));
    auto delta = random_floats(random_, residual.size());
    std::vector<float> sum(residual.size()), out(residual.size()), wanted(residual.size());
    for (size_t i = 0; i < sum.size(); ++i) sum[i] = residual[i] + delta[i];
    ops_->add_rms_norm(*context_, view_of(out, 2, n), view_of(residual, 2, n), view_of(delta, 2, n),
                       weight, 1e-6F);
    EXPECT_EQ(residual, sum);
    ops_->rms_norm(*context_, view_of(wanted, 2, n), view_of(sum, 2, n), weight, 1e-6F);
    EXPECT_EQ(out, wanted);
  }
}

TEST_P(ElementwiseTest, SiluMulOverTheWholeRangeOfGates) {
  std::vector<float> gate_up;
  for (const float z : {0.0F, -0.0F, 1e-30F, 1.0F, -1.0F, 20.0F, -20.0F, 87.0F, -87.0F, 88.5F,
                        -88.5F, 1e4F, -1e4F, 1e37F, -1e37F}) {
    gate_up.push_back(z);
  }
  while (gate_up.size() < 500) gate_up.push_back(uniform(random_, -30, 30));
  const auto n = static_cast<int64_t>(gate_up.size());
  for (int64_t i = 0; i < n; ++i) gate_up.push_back(uniform(random_, -2, 2));
  std::vector<float> out(static_cast<size_t>(n), NAN);
  ops_->silu_mul(*context_, view_of(out, 1, n), view_of(gate_up, 1, 2 * n));
  for (int64_t i = 0; i < n; ++i) {
    const double z = gate_up[static_cast<size_t>(i)], u = gate_up[static_cast<size_t>(n + i)];
    const double wanted = z / (1.0 + std::exp(-z)) * u;
    EXPECT_NEAR(out[static_cast<size_t>(i)], wanted, std::abs(wanted) * 1e-6 + 1e-35) << z;
  }
}

TEST_P(ElementwiseTest, SiluOfNaNIsNaN) {
  std::vector<float> gate_up(40, 1.0F), out(20);
  gate_up[17] = NAN;
  ops_->silu_mul(*context_, view_of(out, 1, 20), view_of(gate_up, 1, 40));
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(std::isnan(out[i]), i == 17);
}

TEST_P(ElementwiseTest, EmbeddingRowsAndMtpInput) {
  constexpr int64_t kVocab = 9, kWidth = 40;
  const TestMatrix table = random_matrix(random_, WeightFormat::kBf16, kVocab, kWidth);
  const auto embedding = std::move(ops_->prepare_embedding(table.view)).value();
  const int32_t ids[] = {8, 0, 3};
  const TokenBatch batch{.rows = 1, .tokens = 3, .ids = ids};
  std::vector<float> x(3 * kWidth, NAN);
  ops_->embed(*context_, view_of(x, 3, kWidth), batch, embedding);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(x[i], table.values[static_cast<size_t>(ids[i / kWidth] * kWidth) + i % kWidth]);
  }

  const TestVector e = random_vector(random_, kWidth), h = random_vector(random_, kWidth);
  const auto enorm = std::move(ops_->prepare_vector(e.view())).value();
  const auto hnorm = std::move(ops_->prepare_vector(h.view())).value();
  auto hidden = random_floats(random_, x.size());
  std::vector<float> joined(2 * x.size(), NAN);
  ops_->mtp_input(*context_, view_of(joined, 3, 2 * kWidth), view_of(hidden, 3, kWidth), batch,
                  embedding, enorm, hnorm, 1e-6F);
  ops_->rms_norm(*context_, view_of(x, 3, kWidth), view_of(x, 3, kWidth), enorm, 1e-6F);
  ops_->rms_norm(*context_, view_of(hidden, 3, kWidth), view_of(hidden, 3, kWidth), hnorm, 1e-6F);
  for (size_t t = 0; t < 3; ++t) {
    for (size_t i = 0; i < kWidth; ++i) {
      EXPECT_EQ(joined[t * 2 * kWidth + i], x[t * kWidth + i]);
      EXPECT_EQ(joined[t * 2 * kWidth + kWidth + i], hidden[t * kWidth + i]);
    }
  }
}

TEST_P(ElementwiseTest, GatherRows) {
  auto x = random_floats(random_, 4 * 5);
  std::vector<float> out(3 * 5);
  const int32_t index[] = {3, 3, 0};
  ops_->gather_rows(*context_, view_of(out, 3, 5), view_of(x, 4, 5), index);
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i], x[static_cast<size_t>(index[i / 5]) * 5 + i % 5]);
  }
}

HADAL_FOR_EVERY_PATH(ElementwiseTest);

TEST(RopeTable, EqualsDirectCosinesToTheLastBitOrNext) {
  const ModelSpec spec = hadal::test::tiny_r1_spec();
  constexpr int64_t kPositions = 163840;
  const RopeTable table(spec, kPositions);
  std::vector<double> frequencies(32);
  yarn_inv_freq(spec, frequencies.data());
  float cosines[32], sines[32];
  for (const int64_t p : {int64_t{0}, int64_t{1}, int64_t{255}, int64_t{256}, int64_t{257},
                          int64_t{4097}, int64_t{100000}, kPositions - 1}) {
    table.at(p, cosines, sines);
    for (size_t j = 0; j < 32; ++j) {
      const double angle = static_cast<double>(p) * frequencies[j];
      EXPECT_NEAR(cosines[j], std::cos(angle), 1e-7) << p;
      EXPECT_NEAR(sines[j], std::sin(angle), 1e-7) << p;
    }
  }
}

TEST(RopeTableDeathTest, APositionBehindTheTableAborts) {
  const RopeTable table(hadal::test::tiny_r1_spec(), 300);
  float values[32], more[32];
  table.at(299, values, more);
  EXPECT_DEATH(table.at(300, values, more), "position 300 of 300");
  EXPECT_DEATH(table.at(-1, values, more), "position -1");
}

TEST(CpuContextDeathTest, AllocatesUpToItsSizeAndFreesByMark) {
  const auto ops = std::move(make_cpu_ops({.threads = 1})).value();
  const auto context = ops->make_context(1024);
  {
    const ScratchScope scope(*context);
    const TensorView a = context->alloc(DType::kF32, 1, 128);
    const TensorView b = context->alloc(DType::kBf16, 2, 128);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(a.data) % 64, 0U);
    EXPECT_GE(static_cast<char*>(b.data) - static_cast<char*>(a.data), a.bytes());
    EXPECT_DEATH(context->alloc(DType::kF32, 1, 1), "too small");
  }
  EXPECT_EQ(context->mark(), 0);
  context->alloc(DType::kF32, 1, 256);
}

TEST(CpuKvPages, AreZeroAtFirstAndNotResident) {
  const ModelSpec spec = hadal::test::tiny_r1_spec();
  // 1 TiB of address space: would not fit if it were resident.
  auto pages = CpuKvPages::create(spec, 5, 2'900'000);
  ASSERT_TRUE(pages.ok()) << pages.error().message;
  EXPECT_EQ(pages->bytes(), int64_t{2'900'000} * 5 * kPageTokens * 576 * 2);
  auto* const words = static_cast<uint16_t*>(pages->data());
  EXPECT_EQ(words[pages->bytes() / 2 - 1], 0);
  const CpuKvPages moved = std::move(*pages);
  EXPECT_EQ(moved.data(), words);
  EXPECT_EQ(pages->data(), nullptr);
}

TEST(MakeCpuOps, RefusesThreadsOutOfRangeAndPathsTheMachineLacks) {
  EXPECT_EQ(make_cpu_ops({.threads = -1}).error().param, "threads");
  EXPECT_EQ(make_cpu_ops({.threads = 1025}).error().param, "threads");
  EXPECT_TRUE(make_cpu_ops({.threads = 1, .isa = CpuIsa::kPortable}).ok());
  const auto available = available_cpu_isas();
  for (const CpuIsa isa : {CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAmx}) {
    const bool has = std::find(available.begin(), available.end(), isa) != available.end();
    EXPECT_EQ(make_cpu_ops({.threads = 1, .isa = isa}).ok(), has) << cpu_isa_name(isa);
  }
}

}  // namespace
}  // namespace hadal::ops::test
