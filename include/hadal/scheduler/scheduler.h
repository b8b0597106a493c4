// Decides which sequences run in which step: a deterministic state machine that owns the queues and
// the KV cache. It has no clock, no thread and no I/O; the same calls give the same plans.
//
// A sequence is *waiting* (new or preempted), *running* (owns a slot and the pages of its tokens)
// or ended. Both queues are in order of service: by priority if priorities are on, then by arrival.
//
// A plan's rows, in this order, within batched_tokens_max query tokens: a decode row of 1 + K
// tokens for every running sequence whose prompt is planned; prompt chunks of the other running
// sequences; waiting sequences admitted from the head of the queue, each with its first chunk.
// Nothing overtakes the head of the waiting queue, so waiting is bounded by the requests before.
//
// Steps are planned up to steps_in_flight_max ahead of the results. What a step in flight will do
// to a sequence is not known, so lengths are planned as upper bounds and reconciled when its result
// is applied.
//
// Threads: check() any thread; everything else one thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"
#include "hadal/core/request.h"
#include "hadal/core/step_plan.h"
#include "hadal/kv_cache/kv_cache.h"

namespace hadal {

struct SchedulerOptions {
  int32_t sequences_max = 0;       // running at once: the runner's slots
  int32_t batched_tokens_max = 0;  // query tokens of one step, at least 1 + drafts
  int32_t model_len_max = 0;       // prompt + output of one sequence
  int32_t pages_total = 0;         // the trash page included
  int32_t drafts = 0;              // K of every step
  int32_t drafts_max = 0;  // K_max, the largest K of this process; pages are reserved for it
  int32_t steps_in_flight_max = 1;  // planned and not yet applied
  bool prefix_cache = true;
  bool priorities = false;  // serve lower Request::priority first; otherwise it is ignored
};

// Why a sequence has no row in the last plan.
enum class RefusalReason : uint8_t {
  kEndsInFlight,   // a step in flight reaches its last token even if every draft is rejected
  kPagesInFlight,  // no pages, but a step in flight may free enough
  kPages,          // wanted pages, found pages
  kSlots,          // wanted and found running sequences
  kTokens,         // the step's query tokens are used up
  kStepsInFlight,  // preempted; re-enters when the steps that contain it have been applied
  kLeader,         // waits until its leader\'s prompt is computed
};

struct Refusal {
  RequestId request{};
  RefusalReason reason{};
  int64_t wanted = 0;
  int64_t found = 0;
};

std::string describe(const Refusal& refusal);  // one line

// Speculation, of ended requests. Draft j of a step counts as proposed unless it lies behind the
// request's last delivered token, so a request is counted when it ends.
struct DraftCounts {
  int64_t verifications = 0;                   // with at least one proposed draft
  std::array<int64_t, kDraftsMax> proposed{};  // by position, draft 1 first
  std::array<int64_t, kDraftsMax> accepted{};
};

struct SchedulerStats {
  int64_t running = 0;
  int64_t waiting = 0;        // preempted ones included
  int64_t queued = 0;         // never admitted yet
  int64_t queued_tokens = 0;  // their prompt tokens
  int64_t pages_held = 0;
  int64_t pages_grantable = 0;  // held at most
  int64_t preemptions = 0;
  int64_t prompt_tokens = 0;  // of admitted requests
  int64_t prompt_tokens_cached = 0;
  int64_t generation_tokens = 0;
  std::array<int64_t, 4> finished{};  // by FinishReason
  DraftCounts drafts;
};

using OutputEvents = std::vector<OutputEvent>;

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);
  ~Scheduler();

  // Whether the request can ever run. kInvalidArgument: no prompt. kTooLarge: prompt + max_tokens
  // over model_len_max or over the whole page pool.
  Status check(const Request& request) const;

  // REQUIRES: check(request).ok(); id is new.
  void add(RequestId id, Request request);

  // Ends the request now, with reason kCancelled. No effect if it has ended.
  void cancel(RequestId id, OutputEvents& events);

  // The request ends after `token_count` output tokens, with reason kStop; now, if they are
  // delivered. No effect if it has ended. REQUIRES: token_count >= 0.
  void finish_at(RequestId id, int64_t token_count, OutputEvents& events);

  // Ends every request with the error.
  void fail_all(const Error& error, OutputEvents& events);
  void cancel_all(OutputEvents& events);

  // The next step, or null if no sequence can have a row. The plan must be submitted; it stays
  // unchanged until its result has been applied. REQUIRES: steps_in_flight() <
  // steps_in_flight_max.
  const StepPlan* plan();

  // Takes the result of the oldest step in flight and appends what happened to each request.
  void apply(const StepResult& result, OutputEvents& events);

  int32_t steps_in_flight() const { return static_cast<int32_t>(steps_planned_ - steps_applied_); }
  std::span<const Refusal> refusals() const { return refusals_; }  // of the last plan()
  SchedulerStats stats() const;
  int32_t running_max() const { return running_max_; }  // sequences that may run at once
  bool idle() const { return sequences_.empty(); }      // every request has ended

  // Walks everything, the cache included.
  void check_invariants() const;

 private:
  struct Sequence;
  struct Step;  // a plan with the sequences of its rows
  struct ServedBefore {
    bool operator()(const Sequence* a, const Sequence* b) const;
  };

  // Planning, in scheduler_plan.cpp.
  void plan_decode_rows(Step& step);
  void plan_prompt_chunks(Step& step);
  void admit_waiting(Step& step);
  bool reserve_decode_pages(Sequence& sequence);
  bool may_be_freed_in_flight(const Sequence& wanting, int64_t pages) const;
  bool try_admit(Step& step, Sequence& sequence);
  bool waits_for_leader(const Sequence& sequence) const;
  void open(Step& step, Sequence& sequence, int32_t computed_tokens);
  void add_decode_row(Step& step, Sequence& sequence);
  void add_chunk(Step& step, Sequence& sequence);
  void add_grant(Step& step, Sequence& sequence);
  void preempt(Sequence& sequence);
  void refuse(const Sequence& sequence, RefusalReason reason, int64_t wanted = 0,
              int64_t found = 0);
  int64_t decode_positions(const Sequence& sequence) const;
  int64_t positions_max(const Sequence& sequence) const;
  int64_t look_ahead() const;  // positions that chained drafts write beyond the verified ones

  // Life cycle and results, in scheduler.cpp.
  Sequence* find(RequestId id);
  void count_admission(Sequence& sequence, int32_t cached_tokens);
  void leave_running(Sequence& sequence);
  void apply_row(const Step& step, size_t row, const RowResult& result, OutputEvents& events);
  void apply_sampled(Sequence& sequence, const Step& step, const PlanRow& row,
                     const RowResult& result, OutputEvents& events);
  void check_sampled(const Sequence& sequence, const Step& step, const PlanRow& row,
                     const RowResult& result) const;
  void reconcile(Sequence& sequence, const Step& step, const PlanRow& row, const RowResult& result);
  void publish(Sequence& sequence);
  void end(Sequence& sequence, OutputEvent event, OutputEvents& events);
  void settle_drafts(const Sequence& sequence, int64_t delivered);
  void forget(const Sequence& sequence);

  // In scheduler_check.cpp.
  void check_queues() const;
  void check_running(const Sequence& sequence) const;

  const SchedulerOptions options_;
  const int32_t running_max_;
  KvCache cache_;

  std::unordered_map<RequestId, std::unique_ptr<Sequence>> sequences_;  // not ended
  std::vector<std::unique_ptr<Sequence>> retiring_;  // ended, with rows in steps in flight
  std::set<Sequence*, ServedBefore> waiting_;
  std::vector<Sequence*> running_;  // sorted by ServedBefore
  std::vector<SlotId> slots_free_;
  std::vector<SlotId> slots_to_close_;  // told to the runner by the next plan

  std::vector<Step> steps_;  // a ring, one deeper than the steps in flight
  uint64_t steps_planned_ = 0;
  uint64_t steps_applied_ = 0;
  int32_t tokens_left_ = 0;    // of the step being planned
  bool pages_closed_ = false;  // an older sequence waits for pages: newer ones take none

  uint64_t arrivals_ = 0;
  uint64_t incarnations_ = 0;
  SchedulerStats counters_;  // the gauges in it are filled by stats()
  std::vector<Refusal> refusals_;
};

}  // namespace hadal
