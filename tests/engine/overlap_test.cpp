// Asynchronous scheduling against synchronous, in virtual time, so that nothing is noise: steps of
// 20 ms, a host that spends time on submitting and on every event, requests that arrive at any
// moment.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "engine/engine_core.h"
#include "support/fake_clock.h"
#include "support/fake_runner.h"

namespace hadal::test {
namespace {

using Ms = std::chrono::duration<double, std::milli>;

constexpr Duration kStep = std::chrono::milliseconds(20);
constexpr Duration kSubmitTime = std::chrono::milliseconds(2);
constexpr Duration kDeliverTime = std::chrono::milliseconds(3);  // of a step of all streams

struct Measured {
  double tokens_per_second = 0;
  double step_ms = 0;
  double ttft_ms_p50 = 0;
  double ttft_ms_p99 = 0;
};

// `streams` clients, each of which sends its next request a while after the last one ended.
class VirtualTime final : public OutputSink {
 public:
  VirtualTime(int streams, int steps_in_flight, int drafts)
      : streams_(streams),
        runner_({.info = {.slots = streams,
                          .pages_total = 8 * streams + 1,
                          .positions_max = 400,
                          .vocab_size = 1000,
                          .drafts_max = drafts,
                          .query_tokens_max = 8192},
                 .check_all_reads = false,
                 .clock = &clock_,
                 .duration = [](const StepPlan&) { return kStep; }}),
        core_({.limits = {.max_num_seqs = streams, .max_num_batched_tokens = 8192},
               .drafts = drafts,
               .steps_in_flight_max = steps_in_flight},
              runner_, *this, clock_) {
    runner_.set_submit_observer([this](const StepPlan&) { clock_.advance(kSubmitTime); });
  }

  Measured run(int requests) {
    for (int i = 0; i < streams_; ++i) arrive_after(Duration{kStep * i / streams_});
    const TimePoint begin = clock_.now();
    while (ended_ < requests) {
      advance();
      while (!arrivals_.empty() && arrivals_.begin()->first <= clock_.now()) submit();
      EXPECT_TRUE(core_.turn().ok());
    }
    const double seconds = std::chrono::duration<double>(clock_.now() - begin).count();
    std::ranges::sort(ttft_ms_);
    return {.tokens_per_second = static_cast<double>(tokens_) / seconds,
            .step_ms = 1e3 * seconds / static_cast<double>(runner_.steps_executed()),
            .ttft_ms_p50 = ttft_ms_[ttft_ms_.size() / 2],
            .ttft_ms_p99 = ttft_ms_[ttft_ms_.size() * 99 / 100]};
  }

  void deliver(const OutputEvent& event) override {
    clock_.advance(kDeliverTime / streams_);
    tokens_ += event.count;
    if (const auto place = submitted_.find(event.request); place != submitted_.end()) {
      // The pacer first has to see how long steps of each shape take.
      const bool warm = raw(event.request) > 100 + 2 * static_cast<uint64_t>(streams_);
      if (warm) ttft_ms_.push_back(Ms(clock_.now() - place->second).count());
      submitted_.erase(place);
    }
    if (!event.end) return;
    ++ended_;
    arrive_after(kStep * static_cast<int>(mix(raw(event.request)) % 100) / 50);
  }

 private:
  void arrive_after(Duration delay) { arrivals_.emplace(clock_.now() + delay, 0); }

  void submit() {
    const RequestId id{++last_id_};
    submitted_[id] = arrivals_.begin()->first;
    arrivals_.erase(arrivals_.begin());
    Request request;
    request.prompt.assign(8, static_cast<TokenId>(last_id_ % 900));
    request.sampling.max_tokens = 20 + static_cast<int>(mix(last_id_) % 100);
    request.sampling.ignore_eos = true;
    core_.add(id, std::move(request));
  }

  void advance() {
    TimePoint next = TimePoint::max();
    if (const auto deadline = core_.deadline()) next = std::min(next, *deadline);
    if (const auto finish = runner_.next_finish()) next = std::min(next, *finish);
    if (!arrivals_.empty()) next = std::min(next, arrivals_.begin()->first);
    clock_.advance_to(next);
  }

  const int streams_;
  FakeClock clock_;
  FakeRunner runner_;
  EngineCore core_;
  std::multimap<TimePoint, int> arrivals_;
  std::map<RequestId, TimePoint> submitted_;
  std::vector<double> ttft_ms_;
  int64_t tokens_ = 0;
  int ended_ = 0;
  uint64_t last_id_ = 0;
};

class Overlap : public ::testing::TestWithParam<std::tuple<int, int>> {};

// "Async never loses", and what it wins is all the host time.
TEST_P(Overlap, AsynchronousIsNeverSlowerNorLater) {
  const auto [streams, drafts] = GetParam();
  const int requests = 400 + 20 * streams;
  const Measured sync = VirtualTime(streams, 1, drafts).run(requests);
  const Measured async = VirtualTime(streams, 2, drafts).run(requests);
  EXPECT_GE(async.tokens_per_second, sync.tokens_per_second);
  EXPECT_LE(async.ttft_ms_p50, sync.ttft_ms_p50);
  // A lone sequence that ends on accepted drafts has one more step in flight, which nobody could
  // know to be of no use; whoever arrives meanwhile waits for it. Among others it costs nothing.
  const bool alone_with_drafts = streams == 1 && drafts > 0;
  EXPECT_LE(async.ttft_ms_p99, sync.ttft_ms_p99 + (alone_with_drafts ? Ms(kStep).count() : 0));
  if (streams > 1) {  // so many that there is always a step to run
    const double exposed_sync = sync.step_ms - Ms(kStep).count();
    const double exposed_async = async.step_ms - Ms(kStep).count();
    EXPECT_GT(exposed_sync, 1.9);
    EXPECT_LT(exposed_async, 0.05 * exposed_sync) << "at least 95 % of the host time is hidden";
  }
}

INSTANTIATE_TEST_SUITE_P(Loads, Overlap,
                         ::testing::Combine(::testing::Values(1, 8, 64, 256),
                                            ::testing::Values(0, 3)));

}  // namespace
}  // namespace hadal::test
