// A runner without a model: executes plans exactly as the step protocol says, over a FakeModel, and
// throws std::logic_error at the first thing a real device would have done wrong silently.
//
// It checks P1 … P5 of step_plan.h; that every written position lies in a page granted to the slot;
// that a prompt's chunks are contiguous; and that what a sequence reads is what its own tokens
// wrote: every position of every page carries a tag, a hash of the tokens up to it (target layers)
// and one of those and the next token (layer 61).
//
// A step is executed when it is polled, from the plan as it is then, so that a plan that was
// rewritten early shows. Steps finish at once, after a number of polls, on command, or at a time of
// a fake clock.
//
// Threads: complete(), fail(), hang(): any. The rest as Runner says.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "hadal/base/clock.h"
#include "hadal/runner/runner.h"
#include "support/fake_model.h"

namespace hadal::test {

struct FakeRunnerOptions {
  RunnerInfo info{.slots = 8,
                  .pages_total = 65,
                  .positions_max = 4096,
                  .vocab_size = 1000,
                  .drafts_max = kDraftsMax,
                  .query_tokens_max = 4096};
  FakeModel model;
  int polls_per_step = 0;       // a step is ready at the poll after so many that it was not
  bool on_command = false;      // a step is ready when complete() has counted it
  bool check_all_reads = true;  // of every row's past; otherwise of two positions, and all at close

  // Steps that take time: ready when `clock` says so.
  const Clock* clock = nullptr;
  std::function<Duration(const StepPlan&)> duration;
};

class FakeRunner final : public Runner {
 public:
  explicit FakeRunner(const FakeRunnerOptions& options);

  const RunnerInfo& info() const override { return options_.info; }
  void set_wakeup(std::function<void()> wakeup) override { wakeup_ = std::move(wakeup); }
  void submit(const StepPlan& plan) override;
  Result<bool> poll(StepResult& result) override;
  int in_flight() const override { return static_cast<int>(steps_.size()); }

  void complete(int steps);  // with on_command
  void fail(Error error);    // the next poll returns it
  void throw_at_poll();
  void hang();                           // no step ever finishes again
  void poison(Incarnation incarnation);  // its next sampled row is not finite

  std::optional<TimePoint> next_finish();  // with clock
  int64_t steps_executed() const { return steps_executed_; }
  int64_t rows_executed() const { return rows_executed_; }
  int64_t inert_rows() const { return inert_rows_; }
  int in_flight_seen_max() const { return in_flight_seen_max_; }
  int64_t prompt_tokens_executed() const { return prompt_tokens_executed_; }
  // Called with every plan when it is submitted.
  void set_submit_observer(std::function<void(const StepPlan&)> observer) {
    submit_observer_ = std::move(observer);
  }
  // Called with every plan when it is executed.
  void set_observer(std::function<void(const StepPlan&)> observer) {
    observer_ = std::move(observer);
  }

 private:
  struct Tag {
    uint64_t target = 0;
    uint64_t mtp = 0;
    bool operator==(const Tag&) const = default;
  };
  struct Slot {
    bool open = false;
    bool finished = false;
    bool sampled = false;  // its prompt is done: decode rows may follow
    Incarnation incarnation{};
    SamplingParams sampling;
    int32_t tokens_left = 0;
    int32_t length = 0;  // committed
    TokenId last = kNoToken;
    Prefix prefix = kEmptyPrefix;  // of positions [0, length)
    std::vector<TokenId> drafts;
    std::vector<PageId> pages;
    std::vector<Tag> past;  // what positions [0, length) must hold
  };
  struct Pending {
    const StepPlan* plan;
    uint64_t checksum;  // of the plan at submission
    int polls_left;
    TimePoint ready_at;
  };

  bool ready();
  bool commanded();
  void execute(const StepPlan& plan, StepResult& result);
  void apply_deltas(const StepPlan& plan);
  void open_slot(const SlotOpen& open);
  void take_over_found_prefix(Slot& slot, int32_t computed_tokens);
  Slot& slot_of(const PlanRow& row);
  void prefill(const StepPlan& plan, const PlanRow& row, RowResult& result);
  void decode(const StepPlan& plan, const PlanRow& row, RowResult& result);
  void sample(const StepPlan& plan, Slot& slot, const std::vector<TokenId>& drafts,
              RowResult& result);
  void propose(const StepPlan& plan, Slot& slot);
  void commit(Slot& slot, TokenId token, TokenId next);
  Tag& tag_at(const Slot& slot, int32_t position);
  void write(const Slot& slot, int32_t position, Tag tag);
  void check_reads(const Slot& slot, bool all);
  void wake();

  const FakeRunnerOptions options_;
  std::function<void()> wakeup_;
  std::function<void(const StepPlan&)> observer_;
  std::function<void(const StepPlan&)> submit_observer_;
  std::vector<Slot> slots_;
  std::vector<Tag> tags_;  // by page and position in it
  std::deque<Pending> steps_;
  std::vector<int64_t> row_of_slot_;  // step number of the slot's last row (P2)
  TimePoint last_finish_{};
  int64_t steps_executed_ = 0;
  int64_t rows_executed_ = 0;
  int64_t inert_rows_ = 0;
  int64_t prompt_tokens_executed_ = 0;
  int in_flight_seen_max_ = 0;

  std::mutex mutex_;
  // Guarded by mutex_:
  int64_t completions_ = 0;
  std::optional<Error> failure_;
  bool throws_ = false;
  bool hangs_ = false;
  std::optional<Incarnation> poisoned_;
};

}  // namespace hadal::test
