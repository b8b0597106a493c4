#include "hadal/core/step_plan.h"

namespace hadal {

int StepPlan::query_tokens() const {
  int count = 0;
  for (const PlanRow& row : rows) {
    count += row.kind == RowKind::kDecode ? 1 + drafts : row.tokens_end - row.tokens_begin;
  }
  return count;
}

int StepPlan::sampled_rows() const {
  int count = 0;
  for (const PlanRow& row : rows) count += row.samples() ? 1 : 0;
  return count;
}

int StepPlan::logit_rows() const {
  int count = 0;
  for (const PlanRow& row : rows) {
    if (row.samples()) count += row.kind == RowKind::kDecode ? 1 + drafts : 1;
  }
  return count;
}

}  // namespace hadal
