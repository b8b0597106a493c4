// One step of the protocol (core/step_plan.h), written once: the network of Model between the
// phases of ops::StepState.
#pragma once

#include <cstdint>

#include "hadal/core/step_plan.h"
#include "hadal/model/model.h"
#include "hadal/ops/batch.h"
#include "hadal/ops/ops.h"
#include "hadal/ops/step_state.h"

namespace hadal {

// Which state of draft j the MTP layer receives for draft j + 1: after shared_head.norm (z), as the
// model was trained, or before it (v), as some engines do.
enum class ChainState : uint8_t { kPostNorm, kPreNorm };

// Upper bounds of one step.
struct StepSizes {
  int64_t query_tokens = 0;
  int64_t logit_rows = 0;
  int64_t sampled_rows = 0;
};

// Scratch that run_step() needs for steps up to `sizes`.
int64_t step_scratch_bytes(const Model& model, const StepSizes& sizes);

// Runs `plan` and fills `result` (on a GPU: enqueues both). With an MTP layer its rows run in every
// step, so that its cache has no holes; with plan.drafts == 0 nothing is drafted. REQUIRES:
// plan.drafts == 0 or model.has_mtp().
void run_step(const Model& model, ops::ExecContext& ctx, ops::StepState& state,
              const ops::PagedKvCache& cache, const StepPlan& plan, ChainState chain,
              StepResult& result);

}  // namespace hadal
