// Router and experts against double precision.
#include <algorithm>
#include <numeric>

#include "ops/cpu/support.h"

namespace hadal::ops::test {
namespace {

double silu(double z) {
  return z / (1.0 + std::exp(-z));
}

std::vector<double> times(const TestMatrix& m, const std::vector<double>& x) {
  std::vector<double> out(static_cast<size_t>(m.view.out_features));
  for (size_t n = 0; n < out.size(); ++n) {
    for (size_t k = 0; k < x.size(); ++k) out[n] += m.values[n * x.size() + k] * x[k];
  }
  return out;
}

struct TestMlp {
  TestMatrix gate, up, down;
  MlpView view() const { return {gate.view, up.view, down.view}; }
  std::vector<double> apply(const std::vector<double>& x) const {
    auto hidden = times(gate, x);
    const auto u = times(up, x);
    for (size_t i = 0; i < hidden.size(); ++i) hidden[i] = silu(hidden[i]) * u[i];
    return times(down, hidden);
  }
};

class ExpertsTest : public PathTest {
 protected:
  static constexpr int64_t kHidden = 96, kWidth = 48, kSharedWidth = 80;
  static constexpr int kExperts = 6, kUsed = 3;

  void SetUp() override { set_up(WeightFormat::kFp8Block); }
  void set_up(WeightFormat format) {
    routed_.clear();
    for (int e = 0; e < kExperts; ++e) routed_.push_back(random_mlp(format, kWidth));
    shared_ = random_mlp(format, kSharedWidth);
    std::vector<MlpView> views;
    for (const TestMlp& mlp : routed_) views.push_back(mlp.view());
    experts_ = std::move(ops_->prepare_experts(views, shared_.view())).value();
  }
  TestMlp random_mlp(WeightFormat format, int64_t width) {
    return {random_matrix(random_, format, width, kHidden),
            random_matrix(random_, format, width, kHidden),
            random_matrix(random_, format, kHidden, width)};
  }
  std::vector<float> run(std::vector<float>& x, std::vector<int32_t>& ids,
                         std::vector<float>& weights) {
    const auto rows = static_cast<int64_t>(x.size()) / kHidden;
    std::vector<float> out(x.size(), NAN);
    ops_->experts(*context_, view_of(out, rows, kHidden), view_of(x, rows, kHidden),
                  {ids.data(), DType::kI32, rows, kUsed}, view_of(weights, rows, kUsed), experts_);
    return out;
  }
  std::vector<double> twin(const std::vector<float>& x, const std::vector<int32_t>& ids,
                           const std::vector<float>& weights) const {
    std::vector<double> out;
    for (size_t t = 0; t < x.size() / kHidden; ++t) {
      const std::vector<double> row(x.begin() + static_cast<long>(t * kHidden),
                                    x.begin() + static_cast<long>((t + 1) * kHidden));
      auto sum = shared_.apply(row);
      for (size_t j = 0; j < kUsed; ++j) {
        const auto y = routed_[static_cast<size_t>(ids[t * kUsed + j])].apply(row);
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += double{weights[t * kUsed + j]} * y[i];
      }
      out.insert(out.end(), sum.begin(), sum.end());
    }
    return out;
  }
  std::vector<int32_t> random_ids(size_t rows) {
    std::vector<int32_t> ids;
    for (size_t t = 0; t < rows; ++t) {
      std::vector<int32_t> all(kExperts);
      std::iota(all.begin(), all.end(), 0);
      std::shuffle(all.begin(), all.end(), random_);
      std::sort(all.begin(), all.begin() + kUsed);
      ids.insert(ids.end(), all.begin(), all.begin() + kUsed);
    }
    return ids;
  }

  // Where inputs are rounded, so are the hidden values, whose own error can move them by one bf16
  // step: 2^-8 of one of kWidth terms.
  double expert_tolerance() const { return rounds_inputs(GetParam()) ? 0x1p-8 : kSumTolerance; }

  std::vector<TestMlp> routed_;
  TestMlp shared_;
  ExpertsWeight experts_;
};

TEST_P(ExpertsTest, MatchesDoublePrecisionInEveryFormat) {
  for (const auto format : {WeightFormat::kBf16, WeightFormat::kFp8Block, WeightFormat::kNvfp4}) {
    set_up(format);
    for (const size_t rows : {1, 2, 33, 600}) {
      auto x = random_floats(random_, rows * kHidden);
      auto ids = random_ids(rows);
      auto weights = random_floats(random_, rows * kUsed);
      EXPECT_LT(relative_error(run(x, ids, weights), twin(as_seen_by(GetParam(), x), ids, weights)),
                expert_tolerance())
          << rows << " rows";
    }
  }
}

TEST_P(ExpertsTest, AllTokensOnTheSameExperts) {
  constexpr size_t kRows = 130;
  auto x = random_floats(random_, kRows * kHidden);
  std::vector<int32_t> ids;
  for (size_t t = 0; t < kRows; ++t) ids.insert(ids.end(), {0, 1, 5});
  auto weights = random_floats(random_, kRows * kUsed);
  EXPECT_LT(relative_error(run(x, ids, weights), twin(as_seen_by(GetParam(), x), ids, weights)),
            expert_tolerance());
}

TEST_P(ExpertsTest, ARowDoesNotDependOnTheRowsAroundIt) {
  constexpr size_t kRows = 70;
  auto x = random_floats(random_, kRows * kHidden);
  auto ids = random_ids(kRows);
  auto weights = random_floats(random_, kRows * kUsed);
  const auto all = run(x, ids, weights);
  for (const size_t rows : {1, 2, 15, 16, 17, 33}) {
    const size_t first = kRows - rows;
    std::vector<float> part_x(x.begin() + static_cast<long>(first * kHidden), x.end());
    std::vector<int32_t> part_ids(ids.begin() + static_cast<long>(first * kUsed), ids.end());
    std::vector<float> part_w(weights.begin() + static_cast<long>(first * kUsed), weights.end());
    const auto out = run(part_x, part_ids, part_w);
    EXPECT_TRUE(
        std::equal(out.begin(), out.end(), all.begin() + static_cast<long>(first * kHidden)))
        << rows << " rows";
  }
}

class RouterTest : public PathTest {
 protected:
  // Router logits are set directly: x is a unit vector times 1, the gate's columns hold them.
  struct Routed {
    std::vector<int32_t> ids;
    std::vector<float> weights;
  };
  Routed route(const std::vector<float>& logits, std::vector<float> bias, const ModelSpec& spec) {
    constexpr int64_t kInputs = 32;
    std::vector<uint16_t> gate(logits.size() * kInputs, 0);
    for (size_t e = 0; e < logits.size(); ++e) gate[e * kInputs] = f32_to_bf16(logits[e]);
    const LinearView gate_view{.name = "mlp.gate",
                               .format = WeightFormat::kBf16,
                               .out_features = static_cast<int64_t>(logits.size()),
                               .in_features = kInputs,
                               .data = reinterpret_cast<const std::byte*>(gate.data())};
    const VectorView bias_view{.name = "bias",
                               .type = VectorType::kF32,
                               .size = static_cast<int64_t>(bias.size()),
                               .data = reinterpret_cast<const std::byte*>(bias.data())};
    const auto router = std::move(ops_->prepare_router(gate_view, bias_view, spec)).value();
    std::vector<float> x(kInputs, 0.0F);
    x[0] = 1.0F;
    Routed r{std::vector<int32_t>(static_cast<size_t>(spec.num_experts_per_tok)),
             std::vector<float>(static_cast<size_t>(spec.num_experts_per_tok))};
    ops_->route(*context_, {r.ids.data(), DType::kI32, 1, spec.num_experts_per_tok},
                view_of(r.weights, 1, spec.num_experts_per_tok), view_of(x, 1, kInputs), router,
                spec);
    return r;
  }
  static ModelSpec router_spec(int experts, int groups, int kept, int used, float scale) {
    ModelSpec spec;
    spec.n_routed_experts = experts;
    spec.n_group = groups;
    spec.topk_group = kept;
    spec.num_experts_per_tok = used;
    spec.routed_scaling_factor = scale;
    return spec;
  }
};

TEST_P(RouterTest, WorkedExample) {  // by hand: see the formula's comment in ops.h
  const auto r =
      route({1, -1, .5F, .4F, 2, -2, 0, .1F}, {-.05F, .30F, .02F, .03F, -.40F, 0, .45F, -.40F},
            router_spec(8, 4, 2, 3, 2.5F));
  EXPECT_THAT(r.ids, ::testing::ElementsAre(0, 2, 3));
  const float wanted[] = {.936196F, .797123F, .766681F};
  // The logit 0.4 and 0.1 are rounded to bf16 here.
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(r.weights[i], wanted[i], 5e-4);
}

TEST_P(RouterTest, LowestIdWinsTies) {
  const auto r = route(std::vector<float>(8, 0.0F), std::vector<float>(8, 0.0F),
                       router_spec(8, 4, 2, 3, 1.0F));
  EXPECT_THAT(r.ids, ::testing::ElementsAre(0, 1, 2));
  for (const float w : r.weights) EXPECT_NEAR(w, 1.0F / 3, 1e-6);
}

TEST_P(RouterTest, NegativeBiasesStayInsideTheKeptGroups) {
  std::vector<float> bias(16, -2.0F);  // every biased score is negative
  bias[5] = bias[6] = -1.0F;
  const auto r = route(std::vector<float>(16, 0.0F), bias, router_spec(16, 4, 1, 4, 2.5F));
  EXPECT_THAT(r.ids, ::testing::ElementsAre(4, 5, 6, 7));
}

// Full size, against a brute-force form of the rule.
TEST_P(RouterTest, FullSizeMatchesBruteForce) {
  const ModelSpec spec = router_spec(256, 8, 4, 8, 2.5F);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> logits(256), bias(256), choice(256);
    for (size_t e = 0; e < 256; ++e) {
      logits[e] = bf16_to_f32(f32_to_bf16(uniform(random_, -3, 3)));
      bias[e] = uniform(random_, -0.5F, 0.5F);
      choice[e] = 1.0F / (1.0F + std::exp(-logits[e])) + bias[e];
    }
    std::vector<std::pair<float, int>> groups;
    for (int g = 0; g < 8; ++g) {
      std::vector<float> in(choice.begin() + g * 32, choice.begin() + (g + 1) * 32);
      std::sort(in.rbegin(), in.rend());
      groups.emplace_back(-(in[0] + in[1]), g);
    }
    std::sort(groups.begin(), groups.end());
    std::vector<std::pair<float, int>> best;
    for (int i = 0; i < 4; ++i) {
      for (int e = groups[static_cast<size_t>(i)].second * 32, j = 0; j < 32; ++j, ++e) {
        best.emplace_back(-choice[static_cast<size_t>(e)], e);
      }
    }
    std::sort(best.begin(), best.end());
    std::vector<int32_t> wanted;
    for (size_t i = 0; i < 8; ++i) wanted.push_back(best[i].second);
    std::sort(wanted.begin(), wanted.end());
    const auto r = route(logits, bias, spec);
    EXPECT_EQ(r.ids, wanted);
    double sum = 0.0, total = 0.0;
    for (const int32_t id : wanted) sum += 1.0 / (1.0 + std::exp(-logits[static_cast<size_t>(id)]));
    for (size_t i = 0; i < 8; ++i) {
      const double score = 1.0 / (1.0 + std::exp(-logits[static_cast<size_t>(wanted[i])]));
      EXPECT_NEAR(r.weights[i], 2.5 * score / sum, 2e-6);
      total += double{r.weights[i]};
    }
    EXPECT_NEAR(total, 2.5, 1e-5);
  }
}

HADAL_FOR_EVERY_PATH(ExpertsTest);
HADAL_FOR_EVERY_PATH(RouterTest);

}  // namespace
}  // namespace hadal::ops::test
