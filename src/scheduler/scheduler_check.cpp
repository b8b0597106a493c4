#include <algorithm>

#include "scheduler/sequence.h"

namespace hadal {

void Scheduler::check_invariants() const {
  check_queues();
  std::vector<const PageTable*> tables;
  for (const Sequence* sequence : running_) {
    check_running(*sequence);
    tables.push_back(&sequence->pages);
  }
  cache_.check_invariants(tables);
}

void Scheduler::check_queues() const {
  HADAL_CHECK(static_cast<int32_t>(running_.size()) <= running_max_, "{} sequences run",
              running_.size());
  HADAL_CHECK(std::ranges::is_sorted(running_, ServedBefore{}), "running_ is not in order");
  HADAL_CHECK(running_.size() + waiting_.size() == sequences_.size(), "{} + {} of {} requests",
              running_.size(), waiting_.size(), sequences_.size());
  HADAL_CHECK(running_.size() + slots_free_.size() == static_cast<size_t>(running_max_),
              "{} slots used, {} free", running_.size(), slots_free_.size());
  int64_t queued = 0, queued_tokens = 0;
  for (const Sequence* sequence : waiting_) {
    HADAL_CHECK(sequence->phase == Phase::kWaiting && sequence->pages.pages().empty(),
                "waiting request {} holds pages", raw(sequence->id));
    if (sequence->admitted_before) continue;
    ++queued;
    queued_tokens += sequence->prompt_tokens;
  }
  HADAL_CHECK(queued == counters_.queued && queued_tokens == counters_.queued_tokens,
              "{} requests of {} tokens queued, counted {} of {}", queued, queued_tokens,
              counters_.queued, counters_.queued_tokens);
}

// Recounts from the plans in flight what the sequence keeps as sums.
void Scheduler::check_running(const Sequence& sequence) const {
  HADAL_CHECK(sequence.phase == Phase::kRunning, "request {} does not run", raw(sequence.id));
  int32_t steps = 0, samples = 0, length = sequence.committed;
  for (uint64_t number = steps_applied_ + 1; number <= steps_planned_; ++number) {
    const Step& step = steps_[number % steps_.size()];
    for (size_t i = 0; i < step.sequences.size(); ++i) {
      if (step.sequences[i] != &sequence) continue;
      const PlanRow& row = step.plan.rows[i];
      ++steps;
      samples += row.samples() ? 1 : 0;
      length +=
          row.kind == RowKind::kDecode ? 1 + step.plan.drafts : row.tokens_end - row.tokens_begin;
    }
  }
  HADAL_CHECK(steps == sequence.steps_in_flight && samples == sequence.samples_in_flight,
              "request {}: {} steps in flight, counted {}; {} sample, counted {}", raw(sequence.id),
              steps, sequence.steps_in_flight, samples, sequence.samples_in_flight);
  HADAL_CHECK(length == sequence.length_max, "request {}: at most {} tokens, counted {}",
              raw(sequence.id), length, sequence.length_max);
  const auto covered = static_cast<int64_t>(sequence.pages.pages().size()) * kPageTokens;
  HADAL_CHECK(covered >= std::min(sequence.length_max + look_ahead(), positions_max(sequence)),
              "request {}: {} positions may be written, {} are covered", raw(sequence.id),
              sequence.length_max + look_ahead(), covered);
}

}  // namespace hadal
