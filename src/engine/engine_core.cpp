#include "engine/engine_core.h"

#include <algorithm>
#include <exception>

#include "hadal/base/log.h"

namespace hadal {
namespace {

SchedulerOptions scheduler_options(const EngineOptions& options, const RunnerInfo& info) {
  const Limits& limits = options.limits;
  const int32_t positions = info.positions_max - 2 * options.drafts;
  return {.sequences_max = std::min(limits.max_num_seqs, info.slots),
          .batched_tokens_max = std::min(limits.max_num_batched_tokens, info.query_tokens_max),
          .model_len_max =
              limits.max_model_len > 0 ? std::min(limits.max_model_len, positions) : positions,
          .pages_total = info.pages_total,
          .drafts = options.drafts,
          .drafts_max = options.drafts,
          .steps_in_flight_max = options.steps_in_flight_max,
          .prefix_cache = options.prefix_cache,
          .priorities = options.priorities};
}

// A runner reports failures as errors; whatever it throws all the same ends here.
template <typename Call>
auto guarded(Call call) -> Result<decltype(call())> {
  try {
    return call();
  } catch (const std::exception& thrown) {
    return Error{ErrorCode::kDevice, fmt::format("the runner threw: {}", thrown.what())};
  } catch (...) {
    return Error{ErrorCode::kDevice, "the runner threw something that is no exception"};
  }
}

}  // namespace

EngineCore::EngineCore(const EngineOptions& options, Runner& runner, OutputSink& sink,
                       const Clock& clock)
    : options_(options),
      runner_(runner),
      sink_(sink),
      clock_(clock),
      scheduler_(scheduler_options(options, runner.info())) {
  HADAL_CHECK(options.drafts <= runner.info().drafts_max, "{} drafts, the runner can {}",
              options.drafts, runner.info().drafts_max);
}

void EngineCore::cancel(RequestId id) {
  scheduler_.cancel(id, events_);
  deliver_events();
}

void EngineCore::finish_at(RequestId id, int64_t token_count) {
  scheduler_.finish_at(id, token_count, events_);
  deliver_events();
}

// The next step goes before the last one's events are delivered, so that the device does not wait
// for whoever receives them.
Status EngineCore::turn() {
  const TimePoint begin = clock_.now();
  HADAL_RETURN_IF_ERROR(apply_results());
  HADAL_RETURN_IF_ERROR(submit_steps(begin));
  deliver_events();
  return check_watchdog(clock_.now());
}

Status EngineCore::apply_results() {
  while (true) {
    HADAL_ASSIGN_OR_RETURN(auto polled, guarded([&] { return runner_.poll(result_); }));
    HADAL_ASSIGN_OR_RETURN(const bool finished, std::move(polled));
    if (!finished) return {};
    const TimePoint begin = clock_.now();
    pacer_.finished(begin);
    scheduler_.apply(result_, events_);
    ++steps_;
    last_progress_ = clock_.now();
    apply_time_ = last_progress_ - begin;
    host_time_ += apply_time_;
  }
}

Status EngineCore::submit_steps(TimePoint turn_begin) {
  // Being woken late is part of what a step costs the host.
  const Duration late = paced_to_ ? std::max(turn_begin - *paced_to_, Duration{0}) : Duration{0};
  paced_to_.reset();
  while (runner_.in_flight() < options_.steps_in_flight_max) {
    const TimePoint begin = clock_.now();
    if (!pacer_.may_submit(begin)) {
      paced_to_ = pacer_.next_time();
      return {};
    }
    const StepPlan* plan = scheduler_.plan();
    explain_refusals();
    if (plan == nullptr) return {};
    const bool was_idle = runner_.in_flight() == 0;
    const auto submitted = guarded([&] {
      runner_.submit(*plan);
      return true;
    });
    if (!submitted) return submitted.error();
    const TimePoint end = clock_.now();
    pacer_.submitted(*plan, end);
    pacer_.host_time(apply_time_ + (end - begin) + late);
    host_time_ += end - begin;
    if (was_idle) last_progress_ = end;
  }
  return {};
}

Status EngineCore::check_watchdog(TimePoint now) const {
  if (runner_.in_flight() == 0 || now - last_progress_ < options_.watchdog) return {};
  return Error{
      ErrorCode::kDevice,
      fmt::format(
          "no step has finished for {} ms; {} are in flight after step {}",
          std::chrono::duration_cast<std::chrono::milliseconds>(now - last_progress_).count(),
          runner_.in_flight(), steps_)};
}

std::optional<TimePoint> EngineCore::deadline() const {
  if (runner_.in_flight() == 0) return std::nullopt;
  const TimePoint watchdog = last_progress_ + options_.watchdog;
  return paced_to_ ? std::min(*paced_to_, watchdog) : watchdog;
}

void EngineCore::fail_all(const Error& error) {
  scheduler_.fail_all(error, events_);
  deliver_events();
}

void EngineCore::cancel_all() {
  scheduler_.cancel_all(events_);
  deliver_events();
}

bool EngineCore::settle() {
  const bool failed = !apply_results().ok();
  deliver_events();
  return failed || runner_.in_flight() == 0;
}

void EngineCore::deliver_events() {
  for (const OutputEvent& event : events_) sink_.deliver(event);
  events_.clear();
}

// A refusal that stays the same is told once.
void EngineCore::explain_refusals() {
  if (!options_.explain) return;
  for (const Refusal& refusal : scheduler_.refusals()) {
    const bool told = std::ranges::any_of(explained_, [&](const Refusal& earlier) {
      return earlier.request == refusal.request && earlier.reason == refusal.reason;
    });
    if (!told) log().info("{}", describe(refusal));
  }
  explained_.assign(scheduler_.refusals().begin(), scheduler_.refusals().end());
}

EngineStats EngineCore::stats() const {
  const SchedulerStats from = scheduler_.stats();
  EngineStats stats{
      .requests_running = from.running,
      .requests_waiting = from.waiting,
      .kv_usage = static_cast<double>(from.pages_held) / static_cast<double>(from.pages_grantable),
      .preemptions = from.preemptions,
      .prompt_tokens = from.prompt_tokens,
      .prompt_tokens_cached = from.prompt_tokens_cached,
      .generation_tokens = from.generation_tokens,
      .steps = steps_,
      .spec_drafts = from.drafts.verifications,
      .spec_accepted_per_position = from.drafts.accepted,
      .spec_proposed_per_position = from.drafts.proposed,
      .finished = from.finished,
      .host_time_ns = host_time_.count()};
  for (const int64_t proposed : from.drafts.proposed) stats.spec_draft_tokens += proposed;
  for (const int64_t accepted : from.drafts.accepted) stats.spec_accepted_tokens += accepted;
  return stats;
}

}  // namespace hadal
