// Every path of the CPU backend through the one forward pass, against the goldens and, along the
// golden continuations, against the plain fp32 implementation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <tuple>

#include "hadal/ops/cpu/cpu_ops.h"
#include "model/golden_checks.h"
#include "reference/reference_ops.h"
#include "support/golden.h"
#include "support/sequence_rig.h"
#include "support/tolerance.h"

namespace hadal {
namespace {

using ops::CpuIsa;

// A log probability moves with the rounding of inputs and cache to bf16 (2^-9 each): a few
// hundredths over a dozen roundings in a row where nothing else happens. A near-tie in a router
// then moves a row's small probabilities by more, so that single logits have no useful bound, and
// the test of the whole distribution stands in.
constexpr double kLogprobTolerance = 0.05;

std::unique_ptr<ops::Ops> make_ops(CpuIsa isa) {
  return std::move(ops::make_cpu_ops({.threads = 2, .isa = isa})).value();
}

class CpuGolden : public testing::TestWithParam<std::tuple<std::string, CpuIsa>> {
 protected:
  std::string format_ = std::get<0>(GetParam());
  bool slow() const { return std::get<1>(GetParam()) < CpuIsa::kAvx512; }

  std::unique_ptr<ops::Ops> ops_ = make_ops(std::get<1>(GetParam()));
  Model model_ = test::load_tiny_r1(format_, *ops_);
};

TEST_P(CpuGolden, LogProbabilities) {
  EXPECT_LE(test::logprobs_deviation(model_, format_), kLogprobTolerance);
}

TEST_P(CpuGolden, GreedyContinuationsAndDrafts) {
  if (slow()) GTEST_SKIP() << "minutes on this path; its distribution is tested";
  const test::GreedyDifferences differences = test::greedy_differences(model_, format_);
  EXPECT_EQ(differences.tokens, 0);
  // The golden prompts have no near-ties among the target's tokens, but some among the drafts.
  EXPECT_LE(differences.drafts, 3 * differences.tokens_total / 1000);
}

struct Divergence {
  double kl_sum = 0.0;
  int top1_changes = 0;
  int tokens = 0;
};

// KL(wanted || found) of one row, and whether the most likely token changed.
void add_row(std::span<const float> wanted, std::span<const float> found, Divergence& total) {
  const auto log_sum = [](std::span<const float> x) {
    const double top = *std::max_element(x.begin(), x.end());
    double sum = 0.0;
    for (const float v : x) sum += std::exp(v - top);
    return top + std::log(sum);
  };
  const double wanted_sum = log_sum(wanted), found_sum = log_sum(found);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double log_p = wanted[i] - wanted_sum;
    total.kl_sum += std::exp(log_p) * (log_p - (found[i] - found_sum));
  }
  const auto top = [](std::span<const float> x) {
    return std::max_element(x.begin(), x.end()) - x.begin();
  };
  total.top1_changes += top(wanted) != top(found) ? 1 : 0;
  ++total.tokens;
}

TEST_P(CpuGolden, StaysNearTheFp32Distribution) {
  reference::ReferenceOps reference;
  const Model wanted_model = test::load_tiny_r1(format_, reference);
  const auto vocab = static_cast<size_t>(model_.spec().vocab_size);
  Divergence total;
  const nlohmann::json golden = test::load_golden("greedy_" + format_);
  const size_t prompts = slow() ? 4 : 32;
  for (size_t i = 0; i < prompts; ++i) {
    const nlohmann::json& item = golden.at("cases").at(i);
    auto ids = item.at("prompt_ids").get<std::vector<TokenId>>();
    const size_t first = ids.size() - 1;
    const auto output = item.at("output_ids").get<std::vector<TokenId>>();
    ids.insert(ids.end(), output.begin(), output.end());
    const auto logits_of = [&](const Model& model) {
      test::SequenceRig rig(model, test::kGoldenPositions);
      return rig.logits(rig.forward(ids, 0));
    };
    const auto wanted = logits_of(wanted_model), found = logits_of(model_);
    for (size_t row = first; row + 1 < ids.size(); ++row) {
      add_row(std::span(wanted).subspan(row * vocab, vocab),
              std::span(found).subspan(row * vocab, vocab), total);
    }
  }
  RecordProperty("mean_kl", std::to_string(total.kl_sum / total.tokens));
  EXPECT_LE(total.kl_sum / total.tokens, 1e-4);
  EXPECT_LE(total.top1_changes, 2);  // 15 in 10,000, and some 1,360 tokens
}

std::string path_name(const testing::TestParamInfo<CpuGolden::ParamType>& info) {
  return std::get<0>(info.param) + "_" + std::string(ops::cpu_isa_name(std::get<1>(info.param)));
}

INSTANTIATE_TEST_SUITE_P(Paths, CpuGolden,
                         testing::Combine(testing::Values("fp8", "bf16", "nvfp4"),
                                          testing::ValuesIn(ops::available_cpu_isas())),
                         path_name);

}  // namespace
}  // namespace hadal
