// Once the largest step has been seen, a step on the CPU takes nothing from the heap, however many
// rows it has and whatever its drafts and sampling.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "hadal/model/step.h"
#include "hadal/ops/cpu/cpu_ops.h"
#include "hadal/ops/cpu/cpu_step_state.h"
#include "support/count_allocations.h"
#include "support/tiny_models.h"

namespace hadal {
namespace {

constexpr int32_t kSlots = 3, kPagesPerSlot = 8, kPagesTotal = 1 + kSlots * kPagesPerSlot;
constexpr int32_t kDrafts = 3, kPromptTokens = 70;

StepPlan opening_plan() {
  StepPlan plan{.step = 1, .drafts = kDrafts};
  for (int32_t i = 0; i < kSlots; ++i) {
    SamplingParams sampling;
    sampling.temperature = 0.4F * static_cast<float>(i);
    sampling.top_p = 0.9F;
    sampling.ignore_eos = true;
    plan.opens.push_back({.slot = SlotId{i}, .tokens_left = 1000, .sampling = sampling});
    const auto pages = static_cast<int32_t>(plan.pages.size());
    for (int32_t p = 0; p < kPagesPerSlot; ++p) plan.pages.push_back(PageId{1 + pages + p});
    plan.grants.push_back({SlotId{i}, 0, pages, pages + kPagesPerSlot});
    const auto first = static_cast<int32_t>(plan.tokens.size());
    for (int32_t t = 0; t < kPromptTokens; ++t) plan.tokens.push_back(3 + (7 * t + i) % 1900);
    plan.rows.push_back({.kind = RowKind::kPrefill,
                         .slot = SlotId{i},
                         .tokens_begin = first,
                         .tokens_end = first + kPromptTokens});
  }
  return plan;
}

TEST(CpuStep, TakesNothingFromTheHeapAfterWarmUp) {
  const auto ops = std::move(ops::make_cpu_ops({.threads = 2})).value();
  const Model model =
      std::move(Model::load(test::open_tiny_r1("fp8"), *ops, {.mtp = true, .positions_max = 1024}))
          .value();
  const auto pages =
      std::move(ops::CpuKvPages::create(model.spec(), model.kv_layers(), kPagesTotal)).value();
  const auto state = ops::make_cpu_step_state({.slots = kSlots,
                                               .pages_per_slot = kPagesPerSlot,
                                               .pages_total = kPagesTotal,
                                               .vocab_size = model.spec().vocab_size,
                                               .drafts_max = kDrafts,
                                               .query_tokens_max = 512});
  const auto context = ops->make_context(
      step_scratch_bytes(model, {.query_tokens = 512, .logit_rows = 64, .sampled_rows = kSlots}));
  StepResult result;
  const auto run = [&](const StepPlan& plan) {
    run_step(model, *context, *state,
             {.pages = pages.data(),
              .page_table = state->page_table(),
              .pages_per_slot = kPagesPerSlot,
              .pages_total = kPagesTotal,
              .layers = model.kv_layers()},
             plan, ChainState::kPostNorm, result);
  };
  run(opening_plan());
  StepPlan all{.drafts = kDrafts}, one{.drafts = 0};
  for (int32_t i = 0; i < kSlots; ++i) {
    all.rows.push_back({.kind = RowKind::kDecode, .slot = SlotId{i}});
  }
  one.rows.push_back(all.rows.back());
  run(all);

  const int64_t before = test::allocations();
  int64_t tokens = 0;
  for (int step = 0; step < 10; ++step) {
    run(all);
    for (const RowResult& row : result.rows) tokens += row.count;
    run(one);
  }
  EXPECT_EQ(test::allocations() - before, 0);
  EXPECT_GE(tokens, 30);
}

}  // namespace
}  // namespace hadal
