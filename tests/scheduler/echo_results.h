// Results that a runner could have given, made without one: every row emits, no sequence ends
// before its budget.
#pragma once

#include <algorithm>
#include <vector>

#include "hadal/core/step_plan.h"

namespace hadal::test {

class EchoResults {
 public:
  explicit EchoResults(int32_t slots) : tokens_left_(slots) {}

  void make(const StepPlan& plan, StepResult& result) {
    for (const SlotOpen& open : plan.opens) tokens_left_[raw(open.slot)] = open.tokens_left;
    result.step = plan.step;
    result.rows.resize(plan.rows.size());
    for (size_t i = 0; i < plan.rows.size(); ++i) {
      const PlanRow& row = plan.rows[i];
      RowResult& made = result.rows[i];
      made = {.incarnation = row.incarnation};
      int32_t& left = tokens_left_[raw(row.slot)];
      if (!row.samples() || left == 0) continue;  // left == 0: inert
      const int32_t drafts = row.kind == RowKind::kDecode ? plan.drafts : 0;
      const auto accepted = static_cast<int32_t>((plan.step * 7 + i) % (drafts + 1));
      made.count = std::min(1 + accepted, left);
      made.proposed = drafts;
      made.accepted = std::min(accepted, made.count);
      left -= made.count;
      if (left == 0) made.end = RowEnd::kLength;
      std::fill_n(made.tokens.begin(), made.count, static_cast<TokenId>(plan.step % 1000));
    }
  }

 private:
  std::vector<int32_t> tokens_left_;  // by slot
};

}  // namespace hadal::test
