// The engine without its thread: joins scheduler, runner and pacer. One turn() is one pass of the
// loop between two waits, so that tests and the simulator drive the same decisions with their own
// clock.
//
// Threads: check() any; the rest one.
#pragma once

#include <optional>
#include <vector>

#include "engine/pacer.h"
#include "hadal/engine/engine.h"
#include "hadal/scheduler/scheduler.h"

namespace hadal {

class EngineCore {
 public:
  // `runner`, `sink` and `clock` outlive it. REQUIRES: the runner can draft options.drafts, and
  // a step has room for one decode row.
  EngineCore(const EngineOptions& options, Runner& runner, OutputSink& sink, const Clock& clock);

  Status check(const Request& request) const { return scheduler_.check(request); }
  void add(RequestId id, Request request) { scheduler_.add(id, std::move(request)); }
  void cancel(RequestId id);
  void finish_at(RequestId id, int64_t token_count);

  // Applies the results that are ready and submits the steps that may go. Error: the runner has
  // failed, or no step has finished for too long; call fail_all() then, and turn() no more.
  Status turn();

  // When turn() is due although nothing was posted and no result came. Empty: never.
  std::optional<TimePoint> deadline() const;

  // Ends every request with the error.
  void fail_all(const Error& error);
  void cancel_all();

  // Takes the results of the steps in flight, without submitting new ones. True: none is left.
  bool settle();

  bool idle() const { return scheduler_.idle(); }
  EngineStats stats() const;
  const Scheduler& scheduler() const { return scheduler_; }

 private:
  Status apply_results();
  Status submit_steps(TimePoint turn_begin);
  Status check_watchdog(TimePoint now) const;
  void deliver_events();
  void explain_refusals();

  const EngineOptions options_;
  Runner& runner_;
  OutputSink& sink_;
  const Clock& clock_;
  Scheduler scheduler_;
  Pacer pacer_;

  StepResult result_;
  OutputEvents events_;
  TimePoint last_progress_{};          // a step finished, or was submitted when none was in flight
  std::optional<TimePoint> paced_to_;  // the last turn waited for the pacer until then
  std::vector<Refusal> explained_;     // of the last plan, with explain
  Duration apply_time_{};              // of the last result
  int64_t steps_ = 0;
  Duration host_time_{};
};

}  // namespace hadal
