// Life cycle of sequences, and results.
#include "hadal/scheduler/scheduler.h"

#include <fmt/format.h>

#include <algorithm>

#include "scheduler/sequence.h"
#include "scheduler/verification.h"

namespace hadal {
namespace {

void describe_end(RowEnd end, TokenId last_token, OutputEvent& event) {
  switch (end) {
    case RowEnd::kEos:
    case RowEnd::kStopToken:
      event.reason = FinishReason::kStop;
      event.stop_token = last_token;
      return;
    case RowEnd::kLength:
      event.reason = FinishReason::kLength;
      return;
    case RowEnd::kNotFinite:
      event.reason = FinishReason::kError;
      event.error = {ErrorCode::kInternal, "the model's logits are not finite"};
      return;
    case RowEnd::kNone:
      break;
  }
  HADAL_CHECK(false, "the row did not end");
}

}  // namespace

bool Scheduler::ServedBefore::operator()(const Sequence* a, const Sequence* b) const {
  return std::pair(a->priority, a->arrival) < std::pair(b->priority, b->arrival);
}

// A plan must be able to give every running sequence a decode row.
Scheduler::Scheduler(const SchedulerOptions& options)
    : options_(options),
      running_max_(
          std::min(options.sequences_max, options.batched_tokens_max / (1 + options.drafts))),
      cache_(options.pages_total, options.prefix_cache),
      steps_(options.steps_in_flight_max + 1) {
  HADAL_CHECK(options.drafts >= 0 && options.drafts <= options.drafts_max &&
                  options.drafts_max <= kDraftsMax,
              "{} drafts of at most {}", options.drafts, options.drafts_max);
  HADAL_CHECK(options.steps_in_flight_max >= 1, "{} steps in flight", options.steps_in_flight_max);
  HADAL_CHECK(running_max_ >= 1, "{} sequences and {} tokens a step leave no row of {} tokens",
              options.sequences_max, options.batched_tokens_max, 1 + options.drafts);
  running_.reserve(running_max_);
  for (int32_t slot = running_max_ - 1; slot >= 0; --slot) slots_free_.push_back(SlotId{slot});
}

Scheduler::~Scheduler() = default;

Status Scheduler::check(const Request& request) const {
  if (request.prompt.empty()) {
    return Error{ErrorCode::kInvalidArgument, "the prompt has no tokens, at least 1 is needed",
                 "prompt"};
  }
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t length = prompt + request.sampling.max_tokens;
  if (length > options_.model_len_max) {
    return Error{
        ErrorCode::kTooLarge,
        fmt::format("the model's maximum context length is {} tokens, but {} were requested "
                    "({} in the prompt, {} for the completion)",
                    options_.model_len_max, length, prompt, request.sampling.max_tokens),
        "max_tokens"};
  }
  const int32_t pages = pages_for(length + 2 * int64_t{options_.drafts_max});
  if (pages > cache_.pages_grantable()) {
    return Error{
        ErrorCode::kTooLarge,
        fmt::format("{} tokens of prompt and completion need {} pages of KV cache, but there "
                    "are {}",
                    length, pages, cache_.pages_grantable()),
        "max_tokens"};
  }
  return {};
}

void Scheduler::add(RequestId id, Request request) {
  HADAL_CHECK(check(request).ok(), "request {} was not checked", raw(id));
  const int priority = options_.priorities ? request.priority : 0;
  auto [place, is_new] = sequences_.try_emplace(
      id, std::make_unique<Sequence>(id, ++arrivals_, priority, std::move(request)));
  HADAL_CHECK(is_new, "request {} was added before", raw(id));
  Sequence& sequence = *place->second;
  waiting_.insert(&sequence);
  ++counters_.queued;
  counters_.queued_tokens += sequence.prompt_tokens;
}

// What grows with the output is allocated here, so that steps do not allocate.
void Scheduler::count_admission(Sequence& sequence, int32_t cached_tokens) {
  sequence.admitted_before = true;
  sequence.cached_tokens = cached_tokens;
  sequence.tokens.reserve(sequence.prompt_tokens + sequence.sampling.max_tokens);
  sequence.pages.reserve(positions_max(sequence));
  sequence.verifications.reserve(options_.drafts > 0 ? sequence.sampling.max_tokens : 0);
  --counters_.queued;
  counters_.queued_tokens -= sequence.prompt_tokens;
  counters_.prompt_tokens += sequence.prompt_tokens;
  counters_.prompt_tokens_cached += cached_tokens;
}

void Scheduler::cancel(RequestId id, OutputEvents& events) {
  if (Sequence* sequence = find(id)) {
    end(*sequence, {.reason = FinishReason::kCancelled}, events);
  }
}

void Scheduler::finish_at(RequestId id, int64_t token_count, OutputEvents& events) {
  HADAL_CHECK(token_count >= 0, "finish at {} tokens", token_count);
  Sequence* sequence = find(id);
  if (sequence == nullptr || token_count > sequence->output_max) return;
  sequence->output_max = token_count;
  sequence->stops_at_output_max = true;
  if (sequence->output() >= token_count) {
    end(*sequence, {.reason = FinishReason::kStop}, events);
  }
}

void Scheduler::fail_all(const Error& error, OutputEvents& events) {
  while (!sequences_.empty()) {
    end(*sequences_.begin()->second, {.reason = FinishReason::kError, .error = error}, events);
  }
}

void Scheduler::cancel_all(OutputEvents& events) {
  while (!sequences_.empty()) cancel(sequences_.begin()->first, events);
}

Scheduler::Sequence* Scheduler::find(RequestId id) {
  const auto place = sequences_.find(id);
  return place == sequences_.end() ? nullptr : place->second.get();
}

void Scheduler::apply(const StepResult& result, OutputEvents& events) {
  HADAL_CHECK(steps_in_flight() > 0 && result.step == steps_applied_ + 1,
              "a result of step {}, but {} is the oldest of {} in flight", result.step,
              steps_applied_ + 1, steps_in_flight());
  const Step& step = steps_[result.step % steps_.size()];
  HADAL_CHECK(step.plan.step == result.step, "the plan of step {} was overwritten", result.step);
  HADAL_CHECK(result.rows.size() == step.plan.rows.size(), "{} results for {} rows",
              result.rows.size(), step.plan.rows.size());
  for (size_t row = 0; row < result.rows.size(); ++row)
    apply_row(step, row, result.rows[row], events);
  ++steps_applied_;
}

void Scheduler::apply_row(const Step& step, size_t row, const RowResult& result,
                          OutputEvents& events) {
  const PlanRow& planned = step.plan.rows[row];
  Sequence& sequence = *step.sequences[row];
  HADAL_CHECK(result.incarnation == planned.incarnation,
              "step {} row {}: a result of incarnation {}, planned was {}", step.plan.step, row,
              raw(result.incarnation), raw(planned.incarnation));
  --sequence.steps_in_flight;
  if (planned.samples()) --sequence.samples_in_flight;
  if (sequence.phase == Phase::kEnded) {
    if (sequence.steps_in_flight == 0) forget(sequence);
    return;
  }
  HADAL_CHECK(sequence.phase == Phase::kWaiting || sequence.incarnation == planned.incarnation,
              "request {} re-entered before step {} was applied", raw(sequence.id), step.plan.step);
  if (planned.samples()) {
    apply_sampled(sequence, step, planned, result, events);
  } else if (sequence.phase == Phase::kRunning) {
    sequence.committed = planned.first_position + planned.tokens_end - planned.tokens_begin;
    publish(sequence);
  }
}

// The sequence may have been preempted since: its tokens count all the same.
void Scheduler::apply_sampled(Sequence& sequence, const Step& step, const PlanRow& row,
                              const RowResult& result, OutputEvents& events) {
  check_sampled(sequence, step, row, result);
  const auto delivered = static_cast<int32_t>(
      std::min<int64_t>(result.count, sequence.output_max - sequence.output()));
  if (result.proposed > 0) {
    sequence.verifications.resize(sequence.output());
    sequence.verifications.push_back(Verification{result.proposed, result.accepted}.encoded());
  }
  sequence.tokens.insert(sequence.tokens.end(), result.tokens.begin(),
                         result.tokens.begin() + delivered);
  counters_.generation_tokens += delivered;
  if (sequence.phase == Phase::kRunning) reconcile(sequence, step, row, result);

  OutputEvent event{.request = sequence.id, .count = delivered};
  std::copy_n(result.tokens.begin(), delivered, event.tokens.begin());
  const bool stopped_by_host =
      sequence.stops_at_output_max && sequence.output() == sequence.output_max;
  if (stopped_by_host) {
    event.reason = FinishReason::kStop;
  } else if (result.end == RowEnd::kNone) {
    events.push_back(std::move(event));
    return;
  } else {
    describe_end(result.end, sequence.tokens.back(), event);
  }
  end(sequence, std::move(event), events);
}

// The upper bound gives back what the step did not emit.
void Scheduler::reconcile(Sequence& sequence, const Step& step, const PlanRow& row,
                          const RowResult& result) {
  if (row.kind == RowKind::kDecode) {
    sequence.length_max -= 1 + step.plan.drafts - result.count;
    sequence.committed += result.count;
  } else {
    sequence.committed = sequence.prefill_end;
  }
  publish(sequence);
}

// Tokens that finish_at cut off are committed on the device, but the host does not know them.
void Scheduler::publish(Sequence& sequence) {
  cache_.publish(sequence.pages, sequence.tokens,
                 std::min(sequence.committed, sequence.known() - 1));
}

void Scheduler::check_sampled(const Sequence& sequence, const Step& step, const PlanRow& row,
                              const RowResult& result) const {
  const int32_t drafts = row.kind == RowKind::kDecode ? step.plan.drafts : 0;
  const int32_t least = result.end == RowEnd::kNotFinite ? 0 : 1;
  HADAL_CHECK(result.count >= least && result.count <= 1 + drafts,
              "request {}: {} tokens of a row with {} drafts", raw(sequence.id), result.count,
              drafts);
  HADAL_CHECK(result.proposed <= drafts && result.accepted <= result.proposed,
              "request {}: {} accepted of {} proposed of {} drafts", raw(sequence.id),
              result.accepted, result.proposed, drafts);
  HADAL_CHECK(result.accepted == result.count - 1 ||
                  (result.accepted == result.count && result.end != RowEnd::kNone),
              "request {}: {} tokens, but {} accepted drafts", raw(sequence.id), result.count,
              result.accepted);
  const int32_t left = sequence.sampling.max_tokens - sequence.output();
  HADAL_CHECK(result.count <= left && (result.count < left || result.end != RowEnd::kNone),
              "request {}: {} tokens where {} were left", raw(sequence.id), result.count, left);
}

void Scheduler::leave_running(Sequence& sequence) {
  running_.erase(std::ranges::lower_bound(running_, &sequence, ServedBefore{}));
  slots_free_.push_back(sequence.slot);
  slots_to_close_.push_back(sequence.slot);
  cache_.release(sequence.pages);
}

// `event` says why, and carries the tokens of the last step if there are any.
void Scheduler::end(Sequence& sequence, OutputEvent event, OutputEvents& events) {
  const int64_t delivered = std::min<int64_t>(sequence.output(), sequence.output_max);
  event.request = sequence.id;
  event.end = true;
  event.usage = {.prompt_tokens = sequence.prompt_tokens,
                 .cached_tokens = sequence.cached_tokens,
                 .completion_tokens = delivered};
  ++counters_.finished[static_cast<size_t>(event.reason)];
  settle_drafts(sequence, delivered);
  events.push_back(std::move(event));

  if (sequence.phase == Phase::kRunning) {
    leave_running(sequence);
  } else {
    waiting_.erase(&sequence);
  }
  if (!sequence.admitted_before) {
    --counters_.queued;
    counters_.queued_tokens -= sequence.prompt_tokens;
  }
  sequence.phase = Phase::kEnded;
  auto node = sequences_.extract(sequence.id);
  if (sequence.steps_in_flight > 0) retiring_.push_back(std::move(node.mapped()));
}

// A draft behind the last delivered token counts neither as proposed nor as accepted.
void Scheduler::settle_drafts(const Sequence& sequence, int64_t delivered) {
  DraftCounts& counts = counters_.drafts;
  for (size_t first = 0; first < sequence.verifications.size(); ++first) {
    if (sequence.verifications[first] == 0) continue;
    const auto verified = Verification::decode(sequence.verifications[first]);
    const auto counted = static_cast<int32_t>(
        std::clamp<int64_t>(delivered - static_cast<int64_t>(first), 0, verified.proposed));
    counts.verifications += counted > 0 ? 1 : 0;
    for (int32_t j = 0; j < counted; ++j) {
      ++counts.proposed[j];
      counts.accepted[j] += j < verified.accepted ? 1 : 0;
    }
  }
}

void Scheduler::forget(const Sequence& sequence) {
  std::erase_if(retiring_, [&](const auto& retiring) { return retiring.get() == &sequence; });
}

SchedulerStats Scheduler::stats() const {
  SchedulerStats stats = counters_;
  stats.running = static_cast<int64_t>(running_.size());
  stats.waiting = static_cast<int64_t>(waiting_.size());
  stats.pages_grantable = cache_.pages_grantable();
  stats.pages_held = cache_.pages_grantable() - cache_.pages_unheld();
  return stats;
}

}  // namespace hadal
