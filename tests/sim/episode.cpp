#include "sim/episode.h"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>

#include "engine/engine_core.h"
#include "sim/clients.h"
#include "support/fake_clock.h"

namespace hadal::sim {
namespace {

using test::FakeClock;
using test::FakeRunner;

template <typename... Args>
void require(bool condition, fmt::format_string<Args...> message, Args&&... args) {
  if (!condition) throw std::logic_error(fmt::format(message, std::forward<Args>(args)...));
}

class Episode {
 public:
  Episode(const Scenario& scenario, const std::function<bool(int)>& takes_part)
      : scenario_(scenario),
        takes_part_(takes_part),
        clients_(scenario),
        runner_(
            {.info = scenario.machine,
             .model = scenario.model,
             .check_all_reads = false,
             .clock = &clock_,
             .duration = [this](const StepPlan& plan) { return step_duration(scenario_, plan); }}),
        core_(scenario.engine, runner_, clients_, clock_),
        start_(clock_.now()) {
    runner_.set_submit_observer([this](const StepPlan& plan) { check_plan(plan); });
    find_next_arrival();
  }

  Report run() {
    while (next_arrival_ || !core_.idle() || runner_.in_flight() > 0) {
      advance_clock();
      take_arrivals();
      for (const Clients::Wish& wish : clients_.take_wishes(turn_)) grant(wish);
      inject_fault();
      if (const Status turned = core_.turn(); !turned) return end_in_failure(turned.error());
      check_properties();
      ++turn_;
    }
    clients_.check_all_ended();
    core_.scheduler().check_invariants();
    require(core_.scheduler().stats().pages_held == 0, "pages are held after the last request");
    return report();
  }

 private:
  void find_next_arrival() {
    while (next_index_ < scenario_.requests && takes_part_ && !takes_part_(next_index_)) {
      ++next_index_;
    }
    next_arrival_.reset();
    if (next_index_ < scenario_.requests) next_arrival_ = arrival_of(scenario_, next_index_);
  }

  TimePoint time_of(const Arrival& arrival) const {
    return start_ + arrival.time.time_since_epoch();
  }

  // To the next moment at which something happens; wishes of clients come with the next turn.
  void advance_clock() {
    std::optional<TimePoint> next = core_.deadline();
    const auto earlier = [&](TimePoint time) { next = next ? std::min(*next, time) : time; };
    if (runner_.next_finish()) earlier(*runner_.next_finish());
    if (next_arrival_) earlier(time_of(*next_arrival_));
    if (next) clock_.advance_to(*next);
  }

  void take_arrivals() {
    while (next_arrival_ && time_of(*next_arrival_) <= clock_.now()) {
      const RequestId id{next_arrival_->request.sampling.seed + 1};
      const bool accepted = core_.check(next_arrival_->request).ok();
      clients_.arrived(id, *next_arrival_, accepted);
      if (accepted) core_.add(id, next_arrival_->request);
      ++next_index_;
      find_next_arrival();
    }
  }

  void grant(const Clients::Wish& wish) {
    if (wish.finish_at >= 0) {
      core_.finish_at(wish.request, wish.finish_at);
    } else {
      core_.cancel(wish.request);
    }
  }

  void inject_fault() {
    if (turn_ != scenario_.fault_at_turn) return;
    if (scenario_.fault == Fault::kError) runner_.fail({ErrorCode::kDevice, "injected"});
    if (scenario_.fault == Fault::kThrow) runner_.throw_at_poll();
    if (scenario_.fault == Fault::kHang) runner_.hang();
  }

  Report end_in_failure(const Error& error) {
    require(scenario_.fault != Fault::kNone && turn_ >= scenario_.fault_at_turn,
            "the engine failed: {}", error.message);
    clients_.engine_failed();
    core_.fail_all(error);
    clients_.check_all_ended();
    return report();
  }

  void check_plan(const StepPlan& plan) {
    const Limits& limits = scenario_.engine.limits;
    require(static_cast<int>(plan.rows.size()) <= limits.max_num_seqs, "{} rows", plan.rows.size());
    require(plan.query_tokens() <= limits.max_num_batched_tokens, "{} query tokens",
            plan.query_tokens());
    require(plan.drafts == scenario_.engine.drafts, "K = {}", plan.drafts);
    clients_.check_entries(plan);
    rows_ += static_cast<int64_t>(plan.rows.size());
  }

  void check_properties() {
    const SchedulerStats stats = core_.scheduler().stats();
    int64_t finished = 0;
    for (const int64_t count : stats.finished) finished += count;
    require(
        finished == clients_.ended() &&
            clients_.arrivals() == finished + clients_.rejected() + stats.running + stats.waiting,
        "{} arrived, but {} ended ({} were told) + {} rejected + {} running + {} waiting",
        clients_.arrivals(), finished, clients_.ended(), clients_.rejected(), stats.running,
        stats.waiting);
    require(core_.idle() || runner_.in_flight() > 0, "requests are left and nothing is in flight");
    check_progress(stats);
    if (runner_.steps_executed() - steps_at_recount_ >= scenario_.recount_steps) {
      steps_at_recount_ = runner_.steps_executed();
      core_.scheduler().check_invariants();
    }
  }

  // A step may be inert as a whole, but not more in a row than are in flight, and one.
  void check_progress(const SchedulerStats& stats) {
    const int64_t progress =
        clients_.tokens() + runner_.prompt_tokens_executed() + clients_.ended() + stats.preemptions;
    if (progress != progress_) steps_at_progress_ = runner_.steps_executed();
    progress_ = progress;
    require(
        runner_.steps_executed() - steps_at_progress_ <= scenario_.engine.steps_in_flight_max + 1,
        "no progress in {} steps", runner_.steps_executed() - steps_at_progress_);
  }

  Report report() const {
    const SchedulerStats stats = core_.scheduler().stats();
    return {.episodes = 1,
            .steps = runner_.steps_executed(),
            .rows = rows_,
            .tokens = clients_.tokens(),
            .requests = clients_.arrivals(),
            .preemptions = stats.preemptions,
            .cached_tokens = stats.prompt_tokens_cached,
            .inert_rows = runner_.inert_rows(),
            .drafts = stats.drafts};
  }

  const Scenario& scenario_;
  const std::function<bool(int)>& takes_part_;
  FakeClock clock_;
  Clients clients_;
  FakeRunner runner_;
  EngineCore core_;
  const TimePoint start_;
  int next_index_ = 0;
  std::optional<Arrival> next_arrival_;
  int64_t turn_ = 0;
  int64_t rows_ = 0;
  int64_t steps_at_recount_ = 0;
  int64_t progress_ = 0;
  int64_t steps_at_progress_ = 0;
};

}  // namespace

void Report::add(const Report& other) {
  episodes += other.episodes;
  steps += other.steps;
  rows += other.rows;
  tokens += other.tokens;
  requests += other.requests;
  preemptions += other.preemptions;
  cached_tokens += other.cached_tokens;
  inert_rows += other.inert_rows;
}

Report run_episode(const Scenario& scenario, const std::function<bool(int)>& takes_part) {
  return Episode(scenario, takes_part).run();
}

}  // namespace hadal::sim
