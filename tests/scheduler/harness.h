// A scheduler over a FakeRunner: submits plans, applies results, collects what each request got.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "hadal/scheduler/scheduler.h"
#include "support/fake_runner.h"

namespace hadal::test {

struct Output {
  std::vector<TokenId> tokens;
  int ends = 0;
  OutputEvent end;  // the last event
};

inline SchedulerOptions small_options() {
  return {.sequences_max = 8,
          .batched_tokens_max = 64,
          .model_len_max = 1000,
          .pages_total = 65,
          .drafts = 0,
          .drafts_max = 0,
          .steps_in_flight_max = 1};
}

class Harness {
 public:
  explicit Harness(const SchedulerOptions& options, const FakeModel& model = {})
      : options_(options),
        model_(model),
        runner_({.info = {.slots = options.sequences_max,
                          .pages_total = options.pages_total,
                          .positions_max = options.model_len_max + 2 * options.drafts_max,
                          .vocab_size = model.vocab_size,
                          .drafts_max = options.drafts_max,
                          .query_tokens_max = options.batched_tokens_max},
                 .model = model}),
        scheduler_(options) {}

  // A prompt of `prompt_tokens` tokens that differs from every other request's.
  Request request(int prompt_tokens, int max_tokens) {
    Request request;
    const auto first = static_cast<TokenId>(last_id_ + 1);
    for (int i = 0; i < prompt_tokens; ++i) request.prompt.push_back(first + 7 * i);
    request.sampling.max_tokens = max_tokens;
    request.sampling.temperature = 0;
    request.sampling.ignore_eos = model_.eos_period == 0;  // token 1 may come by chance
    return request;
  }
  RequestId add(int prompt_tokens, int max_tokens) {
    return add(request(prompt_tokens, max_tokens));
  }
  RequestId add(Request request) {
    const RequestId id{++last_id_};
    EXPECT_TRUE(scheduler_.check(request).ok());
    requests_[id] = request;
    scheduler_.add(id, std::move(request));
    return id;
  }

  // The plan that was submitted, or null.
  const StepPlan* plan() {
    const StepPlan* plan = scheduler_.plan();
    scheduler_.check_invariants();
    if (plan != nullptr) runner_.submit(*plan);
    return plan;
  }
  void apply() {
    ASSERT_TRUE(*runner_.poll(result_));
    scheduler_.apply(result_, events_);
    collect();
    scheduler_.check_invariants();
  }
  void cancel(RequestId id) {
    scheduler_.cancel(id, events_);
    collect();
  }
  void finish_at(RequestId id, int64_t count) {
    scheduler_.finish_at(id, count, events_);
    collect();
  }

  // One pass of the loop at full depth.
  void turn() {
    while (scheduler_.steps_in_flight() < options_.steps_in_flight_max && plan() != nullptr) {
    }
    if (scheduler_.steps_in_flight() > 0) apply();
  }
  void run() {
    for (int i = 0; i < 100000 && !(scheduler_.idle() && scheduler_.steps_in_flight() == 0); ++i) {
      turn();
    }
    ASSERT_TRUE(scheduler_.idle());
    ASSERT_EQ(scheduler_.stats().pages_held, 0);
  }

  void expect_output_of_alone(RequestId id) {
    EXPECT_EQ(outputs_[id].tokens, model_.output_of(requests_[id])) << "request " << raw(id);
    EXPECT_EQ(outputs_[id].ends, 1);
  }
  void expect_all_outputs_of_alone() {
    for (const auto& [id, request] : requests_) expect_output_of_alone(id);
  }

  Scheduler& scheduler() { return scheduler_; }
  FakeRunner& runner() { return runner_; }
  const FakeModel& model() const { return model_; }
  Output& output(RequestId id) { return outputs_[id]; }
  const Request& request_of(RequestId id) { return requests_[id]; }

 private:
  void collect() {
    for (const OutputEvent& event : events_) {
      Output& output = outputs_[event.request];
      EXPECT_EQ(output.ends, 0) << "request " << raw(event.request) << " goes on after its end";
      output.tokens.insert(output.tokens.end(), event.tokens.begin(),
                           event.tokens.begin() + event.count);
      if (!event.end) continue;
      ++output.ends;
      output.end = event;
    }
    events_.clear();
  }

  const SchedulerOptions options_;
  const FakeModel model_;
  FakeRunner runner_;
  Scheduler scheduler_;
  uint64_t last_id_ = 0;
  std::map<RequestId, Request> requests_;
  std::map<RequestId, Output> outputs_;
  OutputEvents events_;
  StepResult result_;
};

}  // namespace hadal::test
