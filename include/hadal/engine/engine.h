// The engine: owns the loop thread, the request table and the life cycle of every request; joins
// scheduler and runner. It moves token ids only: text, JSON and HTTP are the server's.
//
// Promise: every request that submit() accepted ends with exactly one end event, whatever fails.
//
// Threads: submit, finish_at, cancel, stats, state: any thread, never block on the loop. start,
// drain, stop: one controlling thread. OutputSink::deliver is called by the loop thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>

#include "hadal/base/clock.h"
#include "hadal/base/status.h"
#include "hadal/core/limits.h"
#include "hadal/core/request.h"
#include "hadal/runner/runner.h"

namespace hadal {

// Receives events, on the loop thread. Must not block: what it cannot place it deals with by its
// own policy.
class OutputSink {
 public:
  virtual ~OutputSink() = default;
  virtual void deliver(const OutputEvent& event) = 0;
};

struct EngineOptions {
  Limits limits;
  int drafts = 0;               // K of every step; 0: no speculation
  int steps_in_flight_max = 1;  // 1: synchronous scheduling, 2: asynchronous
  Duration watchdog =
      std::chrono::seconds(60);  // longest time without a step finishing while one is in flight
  bool prefix_cache = true;      // share the pages of common prefixes
  bool priorities = false;       // serve lower Request::priority first, not only by arrival
  bool explain = false;          // log one line for every refusal of the scheduler
};

// A snapshot of counters (monotonic since start) and gauges.
struct EngineStats {
  int64_t requests_running = 0;
  int64_t requests_waiting = 0;
  double kv_usage = 0;  // 0 … 1, pages owned by sequences over pages that can be granted
  int64_t preemptions = 0;
  int64_t prompt_tokens = 0;
  int64_t prompt_tokens_cached = 0;
  int64_t generation_tokens = 0;
  int64_t steps = 0;
  // Speculation, counted as DESIGN.md section 3 "Ends" defines. drafts: verifications with at least
  // one proposed draft.
  int64_t spec_drafts = 0;
  int64_t spec_draft_tokens = 0;
  int64_t spec_accepted_tokens = 0;
  std::array<int64_t, kDraftsMax> spec_accepted_per_position{};
  std::array<int64_t, kDraftsMax> spec_proposed_per_position{};
  std::array<int64_t, 4> finished{};  // by FinishReason
  int64_t host_time_ns = 0;           // plan + apply, sum over steps
};

enum class EngineState { kRunning, kDraining, kStopped, kFailed };

class Engine {
 public:
  // `runner`, `sink` and `clock` outlive the engine. Does not start the loop.
  static std::unique_ptr<Engine> create(const EngineOptions& options, Runner& runner,
                                        OutputSink& sink, const Clock& clock);
  virtual ~Engine() = default;  // stops

  virtual void start() = 0;

  // A new id for a request that is about to be submitted, so that the sink can know it before its
  // first event.
  virtual RequestId next_id() = 0;

  // Refused: kTooLarge (prompt + max_tokens over max_model_len or over the whole page pool, naming
  // both numbers), kResourceExhausted (queue full), kUnavailable (draining, stopped, failed).
  // Accepted: the sink gets events until the end event.
  virtual Status submit(RequestId id, Request request) = 0;

  // The request ends after `token_count` output tokens (a stop string matched there). Later tokens
  // are dropped and not counted. Never refused; no effect on a request that has ended.
  virtual void finish_at(RequestId id, int64_t token_count) = 0;

  // Ends the request with reason kCancelled, unless it has ended. Never refused.
  virtual void cancel(RequestId id) = 0;

  // A request whose end event has been delivered is counted.
  virtual EngineStats stats() const = 0;
  virtual EngineState state() const = 0;

  // Stops accepting, lets the accepted requests end. Returns true when all have ended within
  // `timeout`.
  virtual bool drain(Duration timeout) = 0;

  // Cancels what is left and joins the loop thread. Idempotent.
  virtual void stop() = 0;

  // Called once, from the loop thread, when the runner has failed or the watchdog has tripped,
  // after every request has been ended with an error. main exits non-zero on it. Set before
  // start().
  virtual void set_on_failure(std::function<void(const Error&)> on_failure) = 0;
};

}  // namespace hadal
