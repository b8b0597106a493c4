// hadal_bench_overlap: what asynchronous scheduling hides. Streams of requests on a runner that
// sleeps like a GPU, with a host that is made to work; both modes, interleaved.
//
// hidden: of the host time that a synchronous step adds to the runner's, the part that an
// asynchronous one does not add.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "hadal/engine/engine.h"
#include "sleeping_runner.h"

namespace hadal::bench {
namespace {

using Ms = std::chrono::duration<double, std::milli>;

struct Options {
  double step_ms = 20;
  double host_ms = 2;  // of a full step, spent where tokens are handed over
  double seconds = 3;  // of one run
  int repeats = 3;
};

struct Run {
  int64_t tokens = 0;
  int64_t steps = 0;
  double seconds = 0;
  std::vector<double> ttft_ms;

  double step_ms() const {
    return 1e3 * seconds / static_cast<double>(std::max<int64_t>(steps, 1));
  }
  double percentile(double p) const {
    if (ttft_ms.empty()) return 0;
    std::vector<double> sorted = ttft_ms;
    std::ranges::sort(sorted);
    return sorted[static_cast<size_t>(p * static_cast<double>(sorted.size() - 1))];
  }
  void add(const Run& other) {
    tokens += other.tokens;
    steps += other.steps;
    seconds += other.seconds;
    ttft_ms.insert(ttft_ms.end(), other.ttft_ms.begin(), other.ttft_ms.end());
  }
};

// Keeps `streams` requests going, each replaced when it ends; spends host time on every event.
class Clients final : public OutputSink {
 public:
  Clients(int streams, const Options& options)
      : busy_(std::chrono::duration_cast<Duration>(Ms(options.host_ms / streams))) {}

  void use(Engine& engine) { engine_ = &engine; }

  // Output lengths differ, so that arrivals are staggered.
  void submit_one() {
    Request request;
    request.prompt.assign(16, static_cast<TokenId>(++last_));
    request.sampling.max_tokens = 20 + static_cast<int>(last_ * 37 % 60);
    request.sampling.ignore_eos = true;
    const RequestId id = engine_->next_id();
    {
      std::lock_guard lock(mutex_);
      submitted_[id] = clock_.now();
    }
    if (!engine_->submit(id, std::move(request)).ok()) return;
  }

  void deliver(const OutputEvent& event) override {
    for (const TimePoint end = clock_.now() + busy_; clock_.now() < end;) {
    }
    std::unique_lock lock(mutex_);
    run_.tokens += event.count;
    const auto place = submitted_.find(event.request);
    if (place != submitted_.end() && event.count > 0) {
      run_.ttft_ms.push_back(Ms(clock_.now() - place->second).count());
      submitted_.erase(place);
    }
    const bool replace = event.end && event.reason != FinishReason::kCancelled;
    lock.unlock();
    if (replace) submit_one();
  }

  Run take() {
    std::lock_guard lock(mutex_);
    return std::exchange(run_, {});
  }

 private:
  const Duration busy_;
  SteadyClock clock_;
  Engine* engine_ = nullptr;
  std::mutex mutex_;
  Run run_;                                   // guarded by mutex_
  std::map<RequestId, TimePoint> submitted_;  // guarded by mutex_
  uint64_t last_ = 0;
};

Run measure(int streams, int steps_in_flight, const Options& options) {
  SteadyClock clock;
  Clients clients(streams, options);
  SleepingRunner runner({.slots = streams,
                         .pages_total = 4 * streams + 1,
                         .positions_max = 256,
                         .vocab_size = 1000,
                         .drafts_max = 3,
                         .query_tokens_max = 4096},
                        std::chrono::duration_cast<Duration>(Ms(options.step_ms)));
  const auto engine = Engine::create(
      {.limits = {.max_num_seqs = streams}, .drafts = 3, .steps_in_flight_max = steps_in_flight},
      runner, clients, clock);
  clients.use(*engine);
  engine->start();
  for (int i = 0; i < streams; ++i) clients.submit_one();
  std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds / 4));
  static_cast<void>(clients.take());  // the warm-up
  const int64_t steps = engine->stats().steps;
  const TimePoint begin = clock.now();
  std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
  Run run = clients.take();
  run.steps = engine->stats().steps - steps;
  run.seconds = std::chrono::duration<double>(clock.now() - begin).count();
  engine->stop();
  return run;
}

void compare(int streams, const Options& options) {
  Run modes[2];
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (int mode = 0; mode < 2; ++mode) modes[mode].add(measure(streams, 1 + mode, options));
  }
  const double sync_extra = modes[0].step_ms() - options.step_ms;
  const double async_extra = modes[1].step_ms() - options.step_ms;
  for (int mode = 0; mode < 2; ++mode) {
    const Run& run = modes[mode];
    fmt::print("{:>7} {:>5} {:>9.2f} {:>10.0f} {:>9.1f} {:>9.1f}", streams,
               mode == 0 ? "sync" : "async", run.step_ms(),
               static_cast<double>(run.tokens) / run.seconds, run.percentile(0.5),
               run.percentile(0.99));
    if (mode == 1) fmt::print("   hidden {:.1f} %", 100 * (1 - async_extra / sync_extra));
    fmt::print("\n");
  }
}

}  // namespace
}  // namespace hadal::bench

int main(int argc, char** argv) {
  CLI::App app("Compares synchronous and asynchronous scheduling on a runner that sleeps.");
  hadal::bench::Options options;
  app.add_option("--step-ms", options.step_ms, "duration of a step");
  app.add_option("--host-ms", options.host_ms, "host time of a step");
  app.add_option("--seconds", options.seconds, "duration of one run");
  app.add_option("--repeats", options.repeats, "runs of each mode, interleaved");
  CLI11_PARSE(app, argc, argv);
  fmt::print("{:>7} {:>5} {:>9} {:>10} {:>9} {:>9}\n", "streams", "mode", "step ms", "tokens/s",
             "ttft p50", "ttft p99");
  for (const int streams : {1, 8, 64, 256}) hadal::bench::compare(streams, options);
  return 0;
}
