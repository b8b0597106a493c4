// The CPU backend, on every instruction set of this machine, against the goldens.
#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "hadal/ops/cpu/cpu_ops.h"
#include "model/golden_checks.h"
#include "reference/reference_ops.h"

namespace hadal {
namespace {

struct ServingCase {
  ops::CpuIsa isa;
  std::string format;
};

std::vector<ServingCase> all_cases(std::vector<std::string> formats) {
  std::vector<ServingCase> cases;
  for (const ops::CpuIsa isa : ops::available_cpu_isas()) {
    for (const std::string& format : formats) cases.push_back({isa, format});
  }
  return cases;
}

// GoogleTest prints it in failures.
void PrintTo(const ServingCase& c, std::ostream* out) {
  *out << ops::cpu_isa_name(c.isa) << " " << c.format;
}

std::string name_of(const testing::TestParamInfo<ServingCase>& info) {
  return std::string(ops::cpu_isa_name(info.param.isa)) + "_" + info.param.format;
}

class ServingGolden : public testing::TestWithParam<ServingCase> {
 protected:
  std::unique_ptr<ops::Ops> cpu_ = ops::make_cpu_ops({.isa = GetParam().isa}).value();
  test::RecordingOps ops_{*cpu_};
  Model model_ = test::load_tiny_r1(GetParam().format, ops_);
  const double tolerance_ = test::serving_tolerance(model_.spec().num_hidden_layers);
};

TEST_P(ServingGolden, Logits) {
  // The slow paths do the same work: a few prompts each.
  const int prompts = GetParam().isa == ops::available_cpu_isas().back() ? 16 : 3;
  EXPECT_LE(test::logits_deviation(model_, GetParam().format, prompts, test::relative_l2),
            tolerance_);
}

INSTANTIATE_TEST_SUITE_P(All, ServingGolden, testing::ValuesIn(all_cases({"fp8", "bf16", "nvfp4"})),
                         name_of);

// On the path that serves: all of the greedy goldens.
class FastestServingGolden : public testing::TestWithParam<std::string> {};

TEST_P(FastestServingGolden, GreedyContinuationsAndDrafts) {
  const std::unique_ptr<ops::Ops> ops = ops::make_cpu_ops({}).value();
  const Model model = test::load_tiny_r1(GetParam(), *ops);
  const test::GreedyDifferences differences = test::greedy_differences(model, GetParam());
  EXPECT_EQ(differences.tokens, 0);
  // No target logits of the goldens are near-ties; those of drafts may be.
  EXPECT_LE(differences.drafts, 0.01 * 3 * differences.tokens_total);
  EXPECT_GT(differences.tokens_total, 1300);
}

INSTANTIATE_TEST_SUITE_P(All, FastestServingGolden, testing::Values("fp8", "bf16", "nvfp4"),
                         [](const testing::TestParamInfo<std::string>& format) {
                           return format.param;
                         });

// Of every token of the activation golden's prompt, in every MoE layer.
std::vector<float> reference_margins(const std::string& format) {
  reference::ReferenceOps reference;
  test::RecordingOps ops(reference);
  const Model model = test::load_tiny_r1(format, ops);
  test::activation_deviations(model, ops, format, /*check_cache=*/false);
  return reference.route_margins;
}

class ServingActivationGolden : public ServingGolden {};

TEST_P(ServingActivationGolden, EveryLayer) {
  const test::ActivationDeviations found = test::activation_deviations(
      model_, ops_, GetParam().format, /*check_cache=*/false, test::relative_l2);
  // Another expert may only be chosen where fp32 nearly chose it too. A score moves by at most a
  // quarter of what its logit moves, and logits are of order 4.
  const std::vector<float> margins = reference_margins(GetParam().format);
  for (const size_t index : found.other_experts) EXPECT_LE(margins.at(index), tolerance_) << index;
  EXPECT_LE(found.residual, tolerance_);
  EXPECT_LE(found.attention, tolerance_);
  EXPECT_LE(found.expert_weights, tolerance_);
  EXPECT_LE(found.final_norm, tolerance_);
}

TEST_P(ServingActivationGolden, MtpLayerAndChain) {
  // The chain passes the layer three times.
  const double tolerance = test::serving_tolerance(model_.spec().num_hidden_layers + 3);
  EXPECT_LE(test::mtp_deviation(model_, ops_, GetParam().format, reference::Mistake::kNone,
                                test::relative_l2),
            tolerance);
}

INSTANTIATE_TEST_SUITE_P(All, ServingActivationGolden,
                         testing::ValuesIn(all_cases({"fp8", "bf16"})), name_of);

}  // namespace
}  // namespace hadal
