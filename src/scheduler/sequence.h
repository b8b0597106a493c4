// What the scheduler knows of one sequence, and a planned step.
#pragma once

#include "hadal/scheduler/scheduler.h"

namespace hadal {

enum class Phase : uint8_t { kWaiting, kRunning, kEnded };

struct Scheduler::Sequence {
  Sequence(RequestId request_id, uint64_t arrival_number, int effective_priority, Request request)
      : id(request_id),
        arrival(arrival_number),
        priority(effective_priority),
        leader(request.leader),
        prompt_tokens(static_cast<int32_t>(request.prompt.size())),
        sampling(std::move(request.sampling)),
        tokens(std::move(request.prompt)),
        pages(request.cache_salt),
        output_max(sampling.max_tokens) {}

  int32_t known() const { return static_cast<int32_t>(tokens.size()); }
  int32_t output() const { return known() - prompt_tokens; }
  bool prompt_planned() const { return prefill_planned == prefill_end; }

  const RequestId id;
  const uint64_t arrival;
  const int priority;
  const RequestId leader;
  const int32_t prompt_tokens;
  const SamplingParams sampling;

  Phase phase = Phase::kWaiting;
  std::vector<TokenId> tokens;  // prompt, then output so far
  PageTable pages;
  int64_t output_max;                // max_tokens, or the count of finish_at
  bool stops_at_output_max = false;  // finish_at was called
  bool admitted_before = false;
  int64_t cached_tokens = 0;      // of the prompt, at the first admission
  int32_t steps_in_flight = 0;    // that contain it
  int32_t samples_in_flight = 0;  // of those, steps that emit at least one token for it

  // By output token: 0, or what the step that emitted it first verified (encode_verification).
  std::vector<uint8_t> verifications;

  // Of the running phase.
  Incarnation incarnation{};
  SlotId slot{};
  int32_t prefill_end = 0;      // tokens known when its slot was opened
  int32_t prefill_planned = 0;  // of those: found in the cache or in a plan
  int32_t length_max = 0;       // upper bound of the committed length after every planned step
  int32_t committed = 0;        // committed length after every applied step
  int32_t pages_granted = 0;    // entries of `pages` that the runner was told
  uint64_t shortage_step = 0;   // while it wants pages: the last step in flight when that began
};

struct Scheduler::Step {
  StepPlan plan;
  std::vector<Sequence*> sequences;  // by row; alive until the result is applied
};

}  // namespace hadal
