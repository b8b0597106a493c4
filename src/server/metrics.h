// The counters and histograms of /metrics, in Prometheus's text form. Names and buckets are vLLM's,
// so that its dashboards and benchmark clients read them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/base/clock.h"
#include "hadal/engine/engine.h"

namespace hadal {

// Threads: observe() by any, without a lock; a page taken meanwhile may lag by one observation.
class Histogram {
 public:
  // REQUIRES: `bounds` ascends and is constant for the process.
  explicit Histogram(std::span<const double> bounds);
  void observe(double value);
  // Appends the lines of `name`; `labels` as in `model_name="x"`.
  void write(std::string& out, std::string_view name, std::string_view help,
             std::string_view labels) const;

 private:
  std::span<const double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;  // one a bound, one above them all
  std::atomic<double> sum_{0};
};

struct ServerMetrics {
  ServerMetrics();
  Histogram time_to_first_token_s;
  Histogram inter_token_latency_s;
  Histogram e2e_request_latency_s;
  std::atomic<int64_t> slow_readers_dropped{0};
  std::atomic<int64_t> requests_refused{0};
};

double seconds(Duration duration);

// The whole page. `model_name` is the label of every line. Reads this process's resident memory.
std::string metrics_page(const ServerMetrics& metrics, const EngineStats& stats,
                         std::string_view model_name);

}  // namespace hadal
