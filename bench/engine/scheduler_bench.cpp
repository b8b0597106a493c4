// Host time of planning a step and applying its result, at steady state: every row decodes, as many
// sequences end and enter as a long run has of them.
//
// Times are CPU time of the thread, so that other processes of the machine do not count.
// Counters: rows of a step; allocations of a step that admits nothing (counted by operator new).
#include <benchmark/benchmark.h>
#include <time.h>

#include <chrono>

#include "hadal/scheduler/scheduler.h"
#include "scheduler/echo_results.h"
#include "support/count_allocations.h"

namespace hadal {
namespace {

constexpr int kPromptTokens = 1000;
constexpr int kOutputTokens = 1000;

SchedulerOptions options_for(int rows, int drafts) {
  return {.sequences_max = rows,
          .batched_tokens_max = rows * (1 + drafts) + 2048,
          .model_len_max = 4096,
          .pages_total = rows * 40 + 1,
          .drafts = drafts,
          .drafts_max = drafts,
          .steps_in_flight_max = 1};
}

std::chrono::nanoseconds cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

class Load {
 public:
  explicit Load(int rows, int drafts)
      : scheduler_(options_for(rows, drafts)), echo_(rows), rows_(rows) {
    // Output lengths differ, so that ends are spread over time.
    for (int i = 0; i < rows; ++i) add(1 + kOutputTokens * (i + 1) / rows);
    while (scheduler_.stats().queued > 0) step();
  }

  struct Times {
    std::chrono::nanoseconds host{};
    int64_t allocations = 0;
    bool admits = false;
  };

  Times step() {
    const int64_t allocated = test::allocations();
    const auto begin = cpu_time();
    const StepPlan* plan = scheduler_.plan();
    const auto planned = cpu_time();
    Times times{.host = planned - begin,
                .allocations = test::allocations() - allocated,
                .admits = !plan->opens.empty()};
    echo_.make(*plan, result_);
    const int64_t allocated_before_apply = test::allocations();
    const auto applying = cpu_time();
    scheduler_.apply(result_, events_);
    times.host += cpu_time() - applying;
    times.allocations += test::allocations() - allocated_before_apply;
    replace_ended();
    return times;
  }

  int rows() const { return rows_; }

 private:
  void add(int max_tokens) {
    Request request;
    request.prompt.resize(kPromptTokens);
    for (TokenId& token : request.prompt) token = static_cast<TokenId>(++last_id_ % 100000);
    request.sampling.max_tokens = max_tokens;
    scheduler_.add(RequestId{++last_id_}, std::move(request));
  }

  void replace_ended() {
    for (const OutputEvent& event : events_) {
      if (event.end) add(kOutputTokens);
    }
    events_.clear();
  }

  Scheduler scheduler_;
  test::EchoResults echo_;
  StepResult result_;
  OutputEvents events_;
  uint64_t last_id_ = 0;
  int rows_;
};

void plan_and_apply(benchmark::State& state) {
  Load load(static_cast<int>(state.range(0)), static_cast<int>(state.range(1)));
  int64_t quiet_allocations = 0, quiet_steps = 0;
  for (auto _ : state) {
    const Load::Times times = load.step();
    state.SetIterationTime(std::chrono::duration<double>(times.host).count());
    if (times.admits) continue;
    ++quiet_steps;
    quiet_allocations += times.allocations;
  }
  state.counters["rows"] = load.rows();
  state.counters["allocations"] = static_cast<double>(quiet_allocations) /
                                  static_cast<double>(std::max<int64_t>(quiet_steps, 1));
}

BENCHMARK(plan_and_apply)
    ->ArgNames({"rows", "drafts"})
    ->ArgsProduct({{1, 32, 256, 1024}, {0, 3}})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hadal

BENCHMARK_MAIN();
