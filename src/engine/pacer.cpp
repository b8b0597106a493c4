#include "engine/pacer.h"

#include <algorithm>
#include <bit>

#include "hadal/base/check.h"

namespace hadal {

void RunningMean::add(Duration sample) {
  if (!seen_) {
    seen_ = true;
    mean_ = sample;
    return;
  }
  const Duration error = sample - mean_;
  mean_ += error / 8;
  deviation_ += (std::chrono::abs(error) - deviation_) / 4;
}

Duration RunningMean::low() const {
  return std::max(mean_ - 2 * deviation_, Duration{0});
}

// Steps with prompt chunks run without a graph, so they are a shape of their own.
size_t Pacer::shape_of(const StepPlan& plan) {
  const bool mixed = std::ranges::any_of(
      plan.rows, [](const PlanRow& row) { return row.kind == RowKind::kPrefill; });
  const auto magnitude =
      static_cast<int>(std::bit_width(static_cast<uint32_t>(plan.query_tokens())));
  return static_cast<size_t>(std::min(magnitude, 31) + (mixed ? 32 : 0));
}

void Pacer::submitted(const StepPlan& plan, TimePoint now) {
  in_flight_.push_back({.shape = shape_of(plan), .submitted = now});
}

void Pacer::finished(TimePoint now) {
  HADAL_CHECK(!in_flight_.empty(), "a step finished that was not submitted");
  const InFlight step = in_flight_.front();
  in_flight_.erase(in_flight_.begin());
  durations_[step.shape].add(now - std::max(step.submitted, last_finish_));
  last_finish_ = now;
}

std::optional<TimePoint> Pacer::next_time() const {
  if (in_flight_.empty()) return std::nullopt;
  TimePoint end = last_finish_;
  for (const InFlight& step : in_flight_) {
    if (durations_[step.shape].empty()) return std::nullopt;
    end = std::max(end, step.submitted) + durations_[step.shape].low();
  }
  return end - 2 * host_time_.mean();
}

bool Pacer::may_submit(TimePoint now) const {
  const auto next = next_time();
  return !next || now >= *next;
}

}  // namespace hadal
