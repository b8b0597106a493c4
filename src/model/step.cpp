#include "hadal/model/step.h"

#include <algorithm>
#include <utility>

#include "hadal/base/check.h"
#include "model/scratch.h"

namespace hadal {
namespace {

using ops::DType;
using ops::ExecContext;
using ops::PagedKvCache;
using ops::ScratchScope;
using ops::StepState;
using ops::TensorView;

TensorView alloc_hidden(const Model& model, ExecContext& ctx, int64_t rows) {
  return ctx.alloc(model.ops().activation_dtype(), rows, model.spec().hidden_size);
}

TensorView alloc_logits(const Model& model, ExecContext& ctx, int64_t rows) {
  return ctx.alloc(DType::kF32, rows, model.spec().vocab_size);
}

// The head over the rows that need logits, and the verification of what they say.
void verify(const Model& model, ExecContext& ctx, StepState& state, TensorView hidden,
            int64_t logit_rows) {
  const ScratchScope scope(ctx);
  const TensorView logits = alloc_logits(model, ctx, logit_rows);
  if (logit_rows > 0) {
    const TensorView selected = alloc_hidden(model, ctx, logit_rows);
    model.ops().gather_rows(ctx, selected, hidden, state.logit_tokens());
    model.logits(ctx, logits, selected);
  }
  state.verify(logits);
}

// What the MTP layer said of each sampled row: z for the head, v for pre-norm chaining.
struct DraftStates {
  TensorView z;
  TensorView v;
};

DraftStates alloc_states(const Model& model, ExecContext& ctx, int64_t rows) {
  return {alloc_hidden(model, ctx, rows), alloc_hidden(model, ctx, rows)};
}

// Drafts 1 … K of every sampled row, from the states of its last position.
void draft(const Model& model, ExecContext& ctx, StepState& state, const PagedKvCache& cache,
           const DraftStates& mtp_rows, int64_t sampled_rows, int drafts, ChainState chain) {
  DraftStates current = alloc_states(model, ctx, sampled_rows);
  DraftStates next = alloc_states(model, ctx, sampled_rows);
  const TensorView logits = alloc_logits(model, ctx, sampled_rows);
  model.ops().gather_rows(ctx, current.z, mtp_rows.z, state.draft_tokens());
  model.ops().gather_rows(ctx, current.v, mtp_rows.v, state.draft_tokens());
  for (int j = 1; j <= drafts; ++j) {
    model.logits(ctx, logits, current.z);
    state.draft(j, logits);
    if (j == drafts) break;
    const TensorView hidden = chain == ChainState::kPostNorm ? current.z : current.v;
    model.mtp(ctx, next.z, next.v, hidden, state.chain(), cache);
    std::swap(current, next);
  }
}

}  // namespace

void run_step(const Model& model, ExecContext& ctx, StepState& state, const PagedKvCache& cache,
              const StepPlan& plan, ChainState chain, StepResult& result) {
  HADAL_CHECK(plan.drafts == 0 || model.has_mtp(), "step {} drafts {} without an MTP layer",
              plan.step, plan.drafts);
  state.begin(plan);
  const ScratchScope scope(ctx);
  const int64_t tokens = plan.query_tokens();
  const int64_t sampled_rows = plan.sampled_rows();
  const TensorView hidden = alloc_hidden(model, ctx, tokens);
  if (tokens > 0) model.forward(ctx, hidden, state.target(), cache);
  verify(model, ctx, state, hidden, plan.logit_rows());
  if (model.has_mtp() && tokens > 0) {
    const DraftStates mtp_rows = alloc_states(model, ctx, tokens);
    model.mtp(ctx, mtp_rows.z, mtp_rows.v, hidden, state.mtp(), cache);
    if (plan.drafts > 0 && sampled_rows > 0) {
      draft(model, ctx, state, cache, mtp_rows, sampled_rows, plan.drafts, chain);
    }
  }
  state.finish(result);
}

int64_t step_scratch_bytes(const Model& model, const StepSizes& sizes) {
  const DType dtype = model.ops().activation_dtype();
  const auto hidden = [&](int64_t rows) {
    return ScratchSizes::tensor(dtype, rows, model.spec().hidden_size);
  };
  const auto logits = [&](int64_t rows) {
    return ScratchSizes::tensor(DType::kF32, rows, model.spec().vocab_size);
  };
  const int64_t forward = model.forward_scratch_bytes(sizes.query_tokens);
  const int64_t verify = logits(sizes.logit_rows) + hidden(sizes.logit_rows);
  int64_t mtp = 0;
  if (model.has_mtp()) {
    const int64_t draft = 4 * hidden(sizes.sampled_rows) + logits(sizes.sampled_rows) +
                          model.mtp_scratch_bytes(sizes.sampled_rows);
    mtp = 2 * hidden(sizes.query_tokens) +
          std::max(model.mtp_scratch_bytes(sizes.query_tokens), draft);
  }
  return hidden(sizes.query_tokens) + std::max({forward, verify, mtp});
}

}  // namespace hadal
