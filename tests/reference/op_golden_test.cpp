// Single operations of the plain fp32 implementation against the small goldens.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "hadal/core/limits.h"
#include "reference/dequantize.h"
#include "reference/reference_ops.h"
#include "support/golden.h"
#include "support/memory_views.h"
#include "support/specs.h"
#include "support/tolerance.h"

namespace hadal {
namespace {

using nlohmann::json;
using reference::Mistake;
using reference::ReferenceOps;

// fp32 against values that the goldens hold in fp32: a few units in the last place.
constexpr double kExact = 1e-6;

struct RouterOutcome {
  int other_experts = 0;  // cases whose chosen experts differ
  double worst_weight = 0.0;
};

// Through the interface: with the identity as gate, the input is the logits.
RouterOutcome run_router_goldens(const std::string& kind, Mistake mistake) {
  ReferenceOps ops(mistake);
  RouterOutcome outcome;
  const json golden = test::load_golden("router");
  for (const json& item : golden.at("cases")) {
    if (item.at("kind") != kind) continue;
    auto logits = item.at("logits").get<std::vector<float>>();
    const auto bias = item.at("bias").get<std::vector<float>>();
    const auto experts = static_cast<int64_t>(logits.size());
    const int top_k = item.at("top_k");
    ModelSpec spec = test::r1_spec();
    spec.n_routed_experts = static_cast<int>(experts);
    spec.n_group = item.at("n_group");
    spec.topk_group = item.at("topk_group");
    spec.num_experts_per_tok = top_k;

    const std::vector<uint16_t> gate = test::identity_bf16(experts);
    const ops::RouterWeight router =
        ops.prepare_router(test::bf16_view(gate, experts, experts), test::f32_vector(bias), spec)
            .value();
    std::vector<int32_t> ids(static_cast<size_t>(top_k));
    std::vector<float> weights(ids.size());
    const auto context = ops.make_context(1 << 20);
    ops.route(*context, {ids.data(), ops::DType::kI32, 1, top_k}, test::f32_tensor(weights, top_k),
              test::f32_tensor(logits, experts), router, spec);
    if (ids != item.at("indices").get<std::vector<int32_t>>()) {
      ++outcome.other_experts;
    } else {
      outcome.worst_weight =
          std::max(outcome.worst_weight,
                   test::worst_deviation(weights, item.at("weights").get<std::vector<float>>()));
    }
  }
  return outcome;
}

class RouterGolden : public testing::TestWithParam<std::string> {};

TEST_P(RouterGolden, ChoosesTheExpertsAndWeights) {
  const RouterOutcome outcome = run_router_goldens(GetParam(), Mistake::kNone);
  EXPECT_EQ(outcome.other_experts, 0);
  EXPECT_LE(outcome.worst_weight, kExact);
}

INSTANTIATE_TEST_SUITE_P(Kinds, RouterGolden,
                         testing::Values("random", "skewed_bias", "negative_bias", "ties"),
                         [](const testing::TestParamInfo<std::string>& kind) {
                           return kind.param;
                         });

TEST(RouterGoldenMistakes, AreNoticed) {
  for (const Mistake mistake : {Mistake::kNoGroupLimit, Mistake::kBiasIgnored}) {
    EXPECT_GT(run_router_goldens("skewed_bias", mistake).other_experts, 0);
  }
  for (const Mistake mistake : {Mistake::kScalingFactorOne, Mistake::kWeightsNotNormalised,
                                Mistake::kWeightsFromBiasedScores, Mistake::kOneExpertFewer}) {
    EXPECT_GT(run_router_goldens("skewed_bias", mistake).worst_weight, 0.01);
  }
}

TEST(NormGolden, RmsNorm) {
  const json golden = test::load_golden("rmsnorm");
  for (const json& item : golden.at("cases")) {
    const auto weight = test::golden_array<uint16_t>(item.at("weight"));
    std::vector<float> x;
    for (const uint16_t bits : test::golden_array<uint16_t>(item.at("x"))) {
      x.push_back(reference::from_bf16(bits));
    }
    const int n = item.at("n");
    std::vector<float> y(x.size());
    ReferenceOps ops;
    const ops::VectorWeight prepared = ops.prepare_vector(test::bf16_vector(weight)).value();
    const auto context = ops.make_context(0);
    ops.rms_norm(*context, test::f32_tensor(y, n), test::f32_tensor(x, n), prepared,
                 item.at("eps").get<float>());
    EXPECT_LE(test::worst_deviation(y, test::golden_floats(item.at("y"))), kExact) << n;
    EXPECT_EQ(test::to_bf16(y), test::golden_array<uint16_t>(item.at("y_bf16"))) << n;
  }
}

// The rotated key in the cache, at positions up to the last one.
double rope_deviation(Mistake mistake) {
  const json golden = test::load_golden("rope");
  const ModelSpec spec = test::tiny_r1_spec();
  ReferenceOps ops(mistake);
  ops.prepare_rope(spec, spec.max_position_embeddings);
  const auto ones = [&](int size) {
    const std::vector<uint16_t> bits(static_cast<size_t>(size), test::to_bf16(1.0F));
    return ops.prepare_vector(test::bf16_vector(bits)).value();
  };
  const ops::VectorWeight q_norm = ones(spec.q_lora_rank);
  const ops::VectorWeight kv_norm = ones(spec.kv_lora_rank);
  const auto input = golden.at("input").get<std::vector<float>>();
  std::vector<float> qkv_a(static_cast<size_t>(spec.q_lora_rank + spec.kv_lora_rank), 1.0F);
  qkv_a.insert(qkv_a.end(), input.begin(), input.end());
  std::vector<float> q_latent(static_cast<size_t>(spec.q_lora_rank));

  // Every page of the table is the same one: a position's place in its page tells them apart.
  const int pages = (spec.max_position_embeddings + kPageTokens - 1) / kPageTokens;
  const std::vector<int32_t> page_table(static_cast<size_t>(pages), 1);
  std::vector<float> memory(static_cast<size_t>(2 * kPageTokens * spec.kv_dim()));
  const ops::PagedKvCache cache{.pages = memory.data(),
                                .page_table = page_table.data(),
                                .pages_per_slot = pages,
                                .pages_total = 2,
                                .layers = 1};
  const auto context = ops.make_context(0);
  double worst = 0.0;
  for (const json& row : golden.at("rows")) {
    const int32_t position = row.at("position");
    const int32_t slot = 0;
    const ops::TokenBatch batch{
        .rows = 1, .tokens = 1, .ids = nullptr, .positions = &position, .slots = &slot};
    ops.mla_latent(*context, test::f32_tensor(q_latent, spec.q_lora_rank),
                   test::f32_tensor(qkv_a, static_cast<int64_t>(qkv_a.size())), batch, cache, 0,
                   q_norm, kv_norm, spec);
    const float* rotated =
        ReferenceOps::cache_entry(cache, spec, 0, 0, position) + spec.kv_lora_rank;
    worst = std::max(worst, test::worst_deviation({rotated, input.size()},
                                                  test::golden_floats(row.at("rotated"))));
  }
  return worst;
}

TEST(RopeGolden, RotatesInterleavedPairsUpToTheLastPosition) {
  EXPECT_LE(rope_deviation(Mistake::kNone), kExact);
}

TEST(RopeGolden, NoticesMistakes) {
  EXPECT_GT(rope_deviation(Mistake::kHalfSplitRope), 0.01);
  EXPECT_GT(rope_deviation(Mistake::kPlainRopeFrequencies), 0.01);
}

TEST(RopeGolden, FrequenciesAndSoftmaxScale) {
  const json golden = test::load_golden("rope");
  const ModelSpec spec = test::tiny_r1_spec();
  std::vector<double> found(32);
  yarn_inv_freq(spec, found.data());
  for (size_t j = 0; j < found.size(); ++j) {
    EXPECT_NEAR(found[j] / golden.at("inv_freq").at(j).get<double>(), 1.0, 1e-12) << j;
  }
  EXPECT_NEAR(spec.softmax_scale(), golden.at("softmax_scale").get<double>(), 1e-15);
}

TEST(QuantGolden, DecodesEveryE4m3Code) {
  const json golden = test::load_golden("quant");
  for (int code = 0; code < 256; ++code) {
    const json& wanted = golden.at("e4m3_table").at(static_cast<size_t>(code));
    const float found = reference::from_e4m3(static_cast<uint8_t>(code));
    if (wanted.is_null()) {
      EXPECT_TRUE(std::isnan(found)) << code;
    } else {
      EXPECT_EQ(found, wanted.get<float>()) << code;
    }
  }
}

TEST(QuantGolden, DecodesEveryE2m1Code) {
  const json golden = test::load_golden("quant");
  for (unsigned code = 0; code < 16; ++code) {
    const float wanted = golden.at("e2m1_table").at(code).get<float>();
    EXPECT_EQ(reference::from_e2m1(code), wanted) << code;
    EXPECT_EQ(std::signbit(reference::from_e2m1(code)), code >= 8) << code;
  }
}

// A code is within half a step of what it stands for: a sixteenth of the value where normal, half
// of the smallest step (2^-9) below.
TEST(QuantGolden, DequantisesFp8BlocksPartialOnesToo) {
  const json golden = test::load_golden("quant");
  for (const json& item : golden.at("weight_128x128")) {
    const auto codes = test::golden_array<uint8_t>(item.at("codes"));
    const auto scales = test::golden_array<float>(item.at("scale_inv"));
    const auto exact = test::golden_array<uint16_t>(item.at("weight"));
    const auto shape = item.at("codes").at("shape").get<std::vector<int64_t>>();
    const LinearView view{.name = "test",
                          .format = WeightFormat::kFp8Block,
                          .out_features = shape[0],
                          .in_features = shape[1],
                          .data = reinterpret_cast<const std::byte*>(codes.data()),
                          .scales = reinterpret_cast<const std::byte*>(scales.data())};
    const std::vector<float> found = reference::dequantize(view);
    const auto blocks_in_row = static_cast<size_t>((shape[1] + 127) / 128);
    ASSERT_EQ(found.size(), exact.size());
    for (size_t i = 0; i < found.size(); ++i) {
      const size_t row = i / static_cast<size_t>(shape[1]);
      const size_t column = i % static_cast<size_t>(shape[1]);
      const float scale = scales[row / 128 * blocks_in_row + column / 128];
      const float wanted = reference::from_bf16(exact[i]);
      const float half_step = std::max(std::abs(wanted) / 16.0F, scale * 0x1p-10F);
      ASSERT_NEAR(found[i], wanted, half_step * 1.0001F) << row << ", " << column;
    }
  }
}

TEST(QuantGolden, DequantisesNvfp4) {
  const json golden = test::load_golden("quant").at("nvfp4");
  const auto packed = test::golden_array<uint8_t>(golden.at("packed"));
  const auto scales = test::golden_array<uint8_t>(golden.at("weight_scale"));
  const auto shape = golden.at("packed").at("shape").get<std::vector<int64_t>>();
  const LinearView view{.name = "test",
                        .format = WeightFormat::kNvfp4,
                        .out_features = shape[0],
                        .in_features = 2 * shape[1],
                        .data = reinterpret_cast<const std::byte*>(packed.data()),
                        .scales = reinterpret_cast<const std::byte*>(scales.data()),
                        .global_scale = golden.at("weight_scale_2").get<float>()};
  EXPECT_EQ(reference::dequantize(view), test::golden_floats(golden.at("dequantised")));
}

}  // namespace
}  // namespace hadal
