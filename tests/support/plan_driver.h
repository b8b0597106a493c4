// Drives a Runner by hand, as the engine and its scheduler would, but with plans that a test
// chooses. Every sequence gets all its pages at once.
#pragma once

#include <algorithm>
#include <deque>
#include <numeric>
#include <semaphore>
#include <span>
#include <utility>
#include <vector>

#include "hadal/base/check.h"
#include "hadal/core/step_plan.h"
#include "hadal/runner/runner.h"

namespace hadal::test {

struct DrivenSequence {
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  int chunk = 0;       // prompt tokens a step; 0: the whole prompt at once
  int start_step = 0;  // steps submitted before its first chunk

  // Filled by run():
  std::vector<TokenId> output;
  RowEnd end = RowEnd::kNone;
  int proposed = 0;
  int accepted = 0;
};

class PlanDriver {
 public:
  explicit PlanDriver(Runner& runner) : runner_(runner) {
    runner_.set_wakeup([this] { woken_.release(); });
  }

  // Runs all sequences to their ends with `drafts` drafts a step and up to `depth` steps in flight.
  void run(std::vector<DrivenSequence>& sequences, int drafts, int depth) {
    std::vector<Progress> progress(sequences.size());
    std::deque<StepPlan> in_flight;
    int submitted = 0;
    for (;;) {
      while (static_cast<int>(in_flight.size()) < depth) {
        StepPlan plan = next_plan(sequences, progress, drafts, submitted);
        const bool waiting = std::any_of(sequences.begin(), sequences.end(),
                                         [&](const auto& s) { return s.start_step > submitted; });
        if (plan.rows.empty() && !waiting) break;
        ++submitted;
        if (plan.rows.empty()) continue;
        plan.step = ++step_;
        in_flight.push_back(std::move(plan));
        runner_.submit(in_flight.back());
      }
      if (in_flight.empty()) break;
      apply(wait(), in_flight.front(), sequences, progress);
      in_flight.pop_front();
    }
    close_all(sequences.size());
  }

 private:
  struct Progress {
    bool opened = false;
    int computed = 0;  // prompt tokens in submitted chunks
    bool ended = false;
  };

  static SlotId slot(size_t index) { return SlotId{static_cast<int32_t>(index)}; }

  StepPlan next_plan(const std::vector<DrivenSequence>& sequences, std::vector<Progress>& progress,
                     int drafts, int submitted) {
    StepPlan plan{.drafts = drafts};
    for (const SlotId closed : std::exchange(closes_, {})) plan.closes.push_back(closed);
    for (size_t i = 0; i < sequences.size(); ++i) {
      const DrivenSequence& sequence = sequences[i];
      Progress& state = progress[i];
      if (state.ended || submitted < sequence.start_step) continue;
      if (!state.opened) open(plan, i, sequence, state);
      const int prompt = static_cast<int>(sequence.prompt.size());
      if (state.computed < prompt) {
        add_chunk(plan, i, sequence, state);
      } else {
        plan.rows.push_back({.kind = RowKind::kDecode, .slot = slot(i), .incarnation = ids_[i]});
      }
    }
    return plan;
  }

  void open(StepPlan& plan, size_t index, const DrivenSequence& sequence, Progress& state) {
    state.opened = true;
    ids_.resize(std::max(ids_.size(), index + 1));
    ids_[index] = Incarnation{++incarnation_};
    plan.opens.push_back({.slot = slot(index),
                          .incarnation = ids_[index],
                          .prompt_tokens = static_cast<int32_t>(sequence.prompt.size()),
                          .computed_tokens = 0,
                          .tokens_left = sequence.sampling.max_tokens,
                          .sampling = sequence.sampling});
    const RunnerInfo& info = runner_.info();
    const int positions = static_cast<int>(sequence.prompt.size()) + sequence.sampling.max_tokens +
                          2 * info.drafts_max;
    const int pages = (positions + kPageTokens - 1) / kPageTokens;
    const auto begin = static_cast<int32_t>(plan.pages.size());
    for (int i = 0; i < pages; ++i) plan.pages.push_back(PageId{++last_page_});
    HADAL_CHECK(last_page_ < info.pages_total, "the driver has no page left");
    plan.grants.push_back(
        {.slot = slot(index), .first_index = 0, .pages_begin = begin, .pages_end = begin + pages});
  }

  void add_chunk(StepPlan& plan, size_t index, const DrivenSequence& sequence, Progress& state) {
    const int prompt = static_cast<int>(sequence.prompt.size());
    const int chunk = sequence.chunk == 0 ? prompt : sequence.chunk;
    const int end = std::min(prompt, state.computed + chunk);
    const auto begin = static_cast<int32_t>(plan.tokens.size());
    plan.tokens.insert(plan.tokens.end(), sequence.prompt.begin() + state.computed,
                       sequence.prompt.begin() + end);
    plan.rows.push_back({.kind = RowKind::kPrefill,
                         .slot = slot(index),
                         .incarnation = ids_[index],
                         .first_position = state.computed,
                         .tokens_begin = begin,
                         .tokens_end = static_cast<int32_t>(plan.tokens.size()),
                         .look_ahead = end < prompt ? sequence.prompt[end] : kNoToken});
    state.computed = end;
  }

  StepResult wait() {
    for (;;) {
      StepResult result;
      const Result<bool> polled = runner_.poll(result);
      HADAL_CHECK(polled.ok(), "{}", polled.error().message);
      if (*polled) return result;
      woken_.acquire();
    }
  }

  static void apply(const StepResult& result, const StepPlan& plan,
                    std::vector<DrivenSequence>& sequences, std::vector<Progress>& progress) {
    HADAL_CHECK(result.step == plan.step && result.rows.size() == plan.rows.size(),
                "result of step {} with {} rows, wanted step {} with {}", result.step,
                result.rows.size(), plan.step, plan.rows.size());
    for (size_t i = 0; i < plan.rows.size(); ++i) {
      const RowResult& row = result.rows[i];
      HADAL_CHECK(row.incarnation == plan.rows[i].incarnation, "row {} of another sequence", i);
      const auto index = static_cast<size_t>(raw(plan.rows[i].slot));
      DrivenSequence& sequence = sequences[index];
      if (progress[index].ended) {
        HADAL_CHECK(row.count == 0, "an ended sequence emitted {} tokens", row.count);
        continue;
      }
      sequence.output.insert(sequence.output.end(), row.tokens.begin(),
                             row.tokens.begin() + row.count);
      sequence.proposed += row.proposed;
      sequence.accepted += row.accepted;
      sequence.end = row.end;
      progress[index].ended = row.end != RowEnd::kNone;
    }
  }

  // Slots are closed by the next run's first plan; their pages are free again.
  void close_all(size_t count) {
    for (size_t i = 0; i < count; ++i) closes_.push_back(slot(i));
    last_page_ = 0;
  }

  std::counting_semaphore<> woken_{0};
  Runner& runner_;
  uint64_t step_ = 0;
  uint64_t incarnation_ = 0;
  int32_t last_page_ = 0;
  std::vector<Incarnation> ids_;
  std::vector<SlotId> closes_;
};

}  // namespace hadal::test
