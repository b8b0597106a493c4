#include "hadal/core/step_plan.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

TEST(StepPlan, CountsQueryAndLogitRows) {
  StepPlan plan{.drafts = 3};
  plan.rows.push_back({.kind = RowKind::kDecode});
  plan.rows.push_back(
      {.kind = RowKind::kPrefill, .tokens_begin = 0, .tokens_end = 5, .look_ahead = 9});
  plan.rows.push_back({.kind = RowKind::kPrefill, .tokens_begin = 5, .tokens_end = 7});
  EXPECT_EQ(plan.query_tokens(), 4 + 5 + 2);
  EXPECT_EQ(plan.sampled_rows(), 2);
  EXPECT_EQ(plan.logit_rows(), 4 + 1);
}

TEST(StepPlan, AnEmptyPlanHasNothing) {
  EXPECT_EQ(StepPlan{}.query_tokens(), 0);
  EXPECT_EQ(StepPlan{}.logit_rows(), 0);
}

}  // namespace
}  // namespace hadal
