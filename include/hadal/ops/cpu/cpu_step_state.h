// StepState on the CPU: the slot table and the part of a step that is not the network. Everything
// happens in the caller's thread, in the order of the calls; the rules are those of step_state.h.
#pragma once

#include <cstdint>
#include <memory>

#include "hadal/ops/step_state.h"

namespace hadal::ops {

// How a draft is chosen from the MTP layer's logits. At temperature 0 the two are the same.
enum class DraftChoice : uint8_t {
  kGreedy,     // the most likely token
  kSameNoise,  // sampled like the target would, with the noise of the drafted position
};

struct CpuStepStateOptions {
  int32_t slots = 0;
  int32_t pages_per_slot = 0;  // entries of one slot's page table
  int32_t pages_total = 0;     // page ids lie below this
  int32_t vocab_size = 0;
  int32_t drafts_max = 0;  // K of any plan is at most this
  int32_t query_tokens_max = 0;
  DraftChoice draft_choice = DraftChoice::kGreedy;
};

class CpuStepState : public StepState {
 public:
  // [slots, pages_per_slot], for PagedKvCache::page_table. Constant address; written by begin().
  virtual const int32_t* page_table() const = 0;
};

// REQUIRES: every size positive, 0 <= drafts_max <= kDraftsMax. All memory of a step is allocated
// here.
std::unique_ptr<CpuStepState> make_cpu_step_state(const CpuStepStateOptions& options);

}  // namespace hadal::ops
