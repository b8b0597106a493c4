// Planning: which rows the next step has.
#include <algorithm>

#include "scheduler/sequence.h"

namespace hadal {
namespace {

void clear(StepPlan& plan) {
  plan.closes.clear();
  plan.opens.clear();
  plan.grants.clear();
  plan.pages.clear();
  plan.rows.clear();
  plan.tokens.clear();
}

}  // namespace

const StepPlan* Scheduler::plan() {
  HADAL_CHECK(steps_in_flight() < options_.steps_in_flight_max, "{} steps are in flight",
              steps_in_flight());
  Step& step = steps_[(steps_planned_ + 1) % steps_.size()];
  clear(step.plan);
  step.sequences.clear();
  step.plan.step = steps_planned_ + 1;
  step.plan.drafts = options_.drafts;
  refusals_.clear();
  tokens_left_ = options_.batched_tokens_max;
  pages_closed_ = false;

  plan_decode_rows(step);
  plan_prompt_chunks(step);
  admit_waiting(step);
  if (step.plan.rows.empty()) return nullptr;

  step.plan.closes.swap(slots_to_close_);
  for (Sequence* sequence : step.sequences) ++sequence->steps_in_flight;
  ++steps_planned_;
  return &step.plan;
}

void Scheduler::plan_decode_rows(Step& step) {
  // Preemption shortens running_ from its end, behind the sequence that is being served.
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (!sequence.prompt_planned()) continue;
    if (sequence.output() + sequence.samples_in_flight >= sequence.output_max) {
      refuse(sequence, RefusalReason::kEndsInFlight);
    } else if (reserve_decode_pages(sequence)) {
      add_decode_row(step, sequence);
    }
  }
}

void Scheduler::plan_prompt_chunks(Step& step) {
  for (Sequence* sequence : running_) {
    if (sequence->prompt_planned()) continue;
    if (tokens_left_ > 0) {
      add_chunk(step, *sequence);
    } else {
      refuse(*sequence, RefusalReason::kTokens);
    }
  }
}

void Scheduler::admit_waiting(Step& step) {
  while (!waiting_.empty()) {
    if (!try_admit(step, **waiting_.begin())) return;
  }
}

bool Scheduler::try_admit(Step& step, Sequence& sequence) {
  if (sequence.steps_in_flight > 0) {
    refuse(sequence, RefusalReason::kStepsInFlight, 0, sequence.steps_in_flight);
    return false;
  }
  if (waits_for_leader(sequence)) {
    refuse(sequence, RefusalReason::kLeader, 0, static_cast<int64_t>(raw(sequence.leader)));
    return false;
  }
  const auto running = static_cast<int32_t>(running_.size());
  if (running >= running_max_) {
    refuse(sequence, RefusalReason::kSlots, running + 1, running_max_);
    return false;
  }
  if (tokens_left_ == 0) {
    refuse(sequence, RefusalReason::kTokens);
    return false;
  }
  const int64_t positions = std::min(sequence.known() + look_ahead(), positions_max(sequence));
  const auto found =
      pages_closed_ ? std::nullopt : cache_.try_open(sequence.pages, sequence.tokens, positions);
  if (!found) {
    refuse(sequence, RefusalReason::kPages, pages_for(positions), cache_.pages_unheld());
    return false;
  }
  waiting_.erase(&sequence);
  open(step, sequence, *found);
  add_chunk(step, sequence);
  return true;
}

// Choices of one prompt share its pages, once they are published. A leader that has ended is not
// waited for, nor one that is behind in the queue, which would be for ever.
bool Scheduler::waits_for_leader(const Sequence& sequence) const {
  if (!options_.prefix_cache) return false;
  const auto leader = sequences_.find(sequence.leader);
  return leader != sequences_.end() && leader->second->output() == 0 &&
         ServedBefore{}(leader->second.get(), &sequence);
}

// The sequence owns a slot from here on; its device state starts as this says.
void Scheduler::open(Step& step, Sequence& sequence, int32_t computed_tokens) {
  running_.insert(std::ranges::upper_bound(running_, &sequence, ServedBefore{}), &sequence);
  sequence.phase = Phase::kRunning;
  sequence.incarnation = Incarnation{++incarnations_};
  sequence.slot = slots_free_.back();
  slots_free_.pop_back();
  sequence.prefill_end = sequence.known();
  sequence.prefill_planned = computed_tokens;
  sequence.length_max = computed_tokens;
  sequence.committed = computed_tokens;
  sequence.pages_granted = 0;
  sequence.shortage_step = 0;
  if (!sequence.admitted_before) count_admission(sequence, computed_tokens);

  step.plan.opens.push_back({.slot = sequence.slot,
                             .incarnation = sequence.incarnation,
                             .prompt_tokens = sequence.prompt_tokens,
                             .computed_tokens = computed_tokens,
                             .tokens_left = sequence.sampling.max_tokens - sequence.output(),
                             .sampling = sequence.sampling});
  add_grant(step, sequence);
}

void Scheduler::add_decode_row(Step& step, Sequence& sequence) {
  add_grant(step, sequence);
  step.plan.rows.push_back(
      {.kind = RowKind::kDecode, .slot = sequence.slot, .incarnation = sequence.incarnation});
  step.sequences.push_back(&sequence);
  sequence.length_max += 1 + step.plan.drafts;
  ++sequence.samples_in_flight;
  tokens_left_ -= 1 + step.plan.drafts;
  HADAL_CHECK(tokens_left_ >= 0, "running_max leaves room for every decode row");
}

void Scheduler::add_chunk(Step& step, Sequence& sequence) {
  const int32_t first = sequence.prefill_planned;
  const int32_t end = std::min(sequence.prefill_end, first + tokens_left_);
  const bool final_chunk = end == sequence.prefill_end;
  StepPlan& plan = step.plan;
  const auto begin = static_cast<int32_t>(plan.tokens.size());
  plan.tokens.insert(plan.tokens.end(), sequence.tokens.begin() + first,
                     sequence.tokens.begin() + end);
  plan.rows.push_back({.kind = RowKind::kPrefill,
                       .slot = sequence.slot,
                       .incarnation = sequence.incarnation,
                       .first_position = first,
                       .tokens_begin = begin,
                       .tokens_end = begin + end - first,
                       .look_ahead = final_chunk ? kNoToken : sequence.tokens[end]});
  step.sequences.push_back(&sequence);
  sequence.prefill_planned = end;
  sequence.length_max = end;
  if (final_chunk) ++sequence.samples_in_flight;
  tokens_left_ -= end - first;
}

void Scheduler::add_grant(Step& step, Sequence& sequence) {
  const auto pages = sequence.pages.pages().subspan(sequence.pages_granted);
  if (pages.empty()) return;
  const auto begin = static_cast<int32_t>(step.plan.pages.size());
  step.plan.pages.insert(step.plan.pages.end(), pages.begin(), pages.end());
  step.plan.grants.push_back({.slot = sequence.slot,
                              .first_index = sequence.pages_granted,
                              .pages_begin = begin,
                              .pages_end = static_cast<int32_t>(step.plan.pages.size())});
  sequence.pages_granted = static_cast<int32_t>(sequence.pages.pages().size());
}

// A shortage first waits for the results that were in flight when it arose, if they could end it;
// only then does it cost newer sequences their pages. Meanwhile newer sequences take no pages.
bool Scheduler::reserve_decode_pages(Sequence& sequence) {
  const int64_t positions = decode_positions(sequence);
  const int64_t missing =
      pages_for(positions) - static_cast<int64_t>(sequence.pages.pages().size());
  if (missing <= 0) return true;
  if (!pages_closed_ && cache_.try_extend(sequence.pages, positions)) {
    sequence.shortage_step = 0;
    return true;
  }
  if (sequence.shortage_step == 0) sequence.shortage_step = steps_planned_;
  const bool waited = steps_applied_ >= sequence.shortage_step;
  if (!pages_closed_ && !waited && may_be_freed_in_flight(sequence, missing)) {
    refuse(sequence, RefusalReason::kPagesInFlight, missing, cache_.pages_unheld());
    pages_closed_ = true;
    return false;
  }
  while (!pages_closed_ && running_.back() != &sequence) {
    preempt(*running_.back());
    if (cache_.try_extend(sequence.pages, positions)) {
      sequence.shortage_step = 0;
      return true;
    }
  }
  refuse(sequence, RefusalReason::kPages, missing, cache_.pages_unheld());
  pages_closed_ = true;
  return false;
}

// A step in flight frees the pages of a sequence that ends in it.
bool Scheduler::may_be_freed_in_flight(const Sequence& wanting, int64_t pages) const {
  int64_t found = cache_.pages_unheld();
  for (const Sequence* other : running_) {
    if (other == &wanting || other->samples_in_flight == 0) continue;
    found += cache_.pages_held_alone(other->pages);
    if (found >= pages) return true;
  }
  return false;
}

// Its pages may be granted by the plan that is being built: that step runs after every step in
// flight that still writes to them.
void Scheduler::preempt(Sequence& sequence) {
  leave_running(sequence);
  sequence.phase = Phase::kWaiting;
  waiting_.insert(&sequence);
  ++counters_.preemptions;
}

void Scheduler::refuse(const Sequence& sequence, RefusalReason reason, int64_t wanted,
                       int64_t found) {
  refusals_.push_back({.request = sequence.id, .reason = reason, .wanted = wanted, .found = found});
}

int64_t Scheduler::look_ahead() const {
  return std::max(options_.drafts_max - 1, 0);
}

int64_t Scheduler::positions_max(const Sequence& sequence) const {
  return int64_t{sequence.prompt_tokens} + sequence.sampling.max_tokens +
         2 * int64_t{options_.drafts_max};
}

int64_t Scheduler::decode_positions(const Sequence& sequence) const {
  return std::min(int64_t{sequence.length_max} + 1 + options_.drafts + look_ahead(),
                  positions_max(sequence));
}

}  // namespace hadal
