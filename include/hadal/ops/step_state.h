// The device-resident truth about running sequences, and the part of a step that is not the
// network: turning a plan into token batches, sampling, verifying drafts, proposing new ones,
// advancing the state.
//
// One call of each, in this order, is a step (model/step.h is that sequence, written once):
//   begin(plan) -> target()   ids and positions of all query tokens, from the plan and the state
//   verify(logits)            samples every logits row from its fully processed distribution; a
//   draft is
//                             accepted iff it equals the token sampled at its position; decides row
//                             ends; after it mtp() has the *next* token of every query token
//   draft(1, logits)          chooses the first draft of every sampled row; after it chain() is
//   valid draft(2 … K, logits) finish(result)            commits lengths, last tokens, drafts;
//   gives the step's result
// With K = 0 there is no draft(); if the process speculates, the MTP rows still run (they write
// layer-61 cache entries).
//
// Invariants: (S1) positions and slots of a row lie within what the plan granted (CHECK on the
// CPU). (S2) an inert row (its sequence ended on the device in an earlier step) emits nothing and
// writes only to the trash page. (S3) the state after a step depends on the plan, the logits and
// the state before, never on other rows.
//
// On a GPU every method enqueues; finish() fills the result ring, and `result` is filled when it is
// polled. Threads: the runner's launch thread.
#pragma once

#include <cstdint>

#include "hadal/core/step_plan.h"
#include "hadal/ops/batch.h"
#include "hadal/ops/tensor.h"

namespace hadal::ops {

class StepState {
 public:
  virtual ~StepState() = default;

  virtual void begin(const StepPlan& plan) = 0;
  virtual const TokenBatch& target() const = 0;  // T tokens
  virtual const int32_t* logit_tokens()
      const = 0;  // [plan.logit_rows()] token indices that need logits

  // logits [plan.logit_rows(), vocab_size] f32, in the order of logit_tokens(); contents are
  // consumed.
  virtual void verify(TensorView logits) = 0;
  virtual const TokenBatch& mtp() const = 0;  // the same T tokens; ids = each token's next token
  virtual const int32_t* draft_tokens()
      const = 0;  // [plan.sampled_rows()] token index each row drafts from

  // Chooses draft j (1 … K) of every sampled row. logits [plan.sampled_rows(), vocab_size] f32.
  virtual void draft(int j, TensorView logits) = 0;
  virtual const TokenBatch& chain()
      const = 0;  // one token a sampled row: draft j at the next position

  virtual void finish(StepResult& result) = 0;
};

}  // namespace hadal::ops
