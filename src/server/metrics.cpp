#include "server/metrics.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "hadal/base/check.h"
#include "server/json_writer.h"

namespace hadal {
namespace {

constexpr std::array kFirstTokenBounds = {.001, .005, .01, .02,  .04,  .06,  .08, .1,
                                          .25,  .5,   .75, 1.,   2.5,  5.,   7.5, 10.,
                                          20.,  40.,  80., 160., 640., 2560.};
constexpr std::array kTokenBounds = {.01, .025, .05, .075, .1,  .15, .2,  .3,  .4, .5,
                                     .75, 1.,   2.5, 5.,   7.5, 10., 20., 40., 80.};
constexpr std::array kRequestBounds = {.3,  .5,  .8,  1.,  1.5,  2.,   2.5,  5.,   10.,   15.,  20.,
                                       30., 40., 50., 60., 120., 240., 480., 960., 1920., 7680.};

// Lines of one page, each with the same labels.
class Page {
 public:
  explicit Page(std::string_view model_name) {
    labels_ = "model_name=\"";
    append_label(model_name);
    labels_ += "\",engine=\"0\"";
  }

  void counter(std::string_view name, std::string_view help, int64_t value) {
    head(name, help, "counter");
    line(name, "", value);
  }
  void gauge(std::string_view name, std::string_view help, double value) {
    head(name, help, "gauge");
    line(name, "", value);
  }
  void head(std::string_view name, std::string_view help, std::string_view type) {
    fmt::format_to(std::back_inserter(text), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  void line(std::string_view name, std::string_view more_labels, double value) {
    fmt::format_to(std::back_inserter(text), "{}{{{}{}}} {}\n", name, labels_, more_labels, value);
  }
  std::string_view labels() const { return labels_; }

  std::string text;

 private:
  // The escapes of a label value are three of JSON's.
  void append_label(std::string_view value) {
    for (const char c : value) {
      if (c == '\n') {
        labels_ += "\\n";
        continue;
      }
      if (c == '"' || c == '\\') labels_ += '\\';
      labels_ += c;
    }
  }

  std::string labels_;
};

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void write_gauges(Page& page, const EngineStats& stats) {
  page.gauge("vllm:num_requests_running", "Sequences being generated.",
             static_cast<double>(stats.requests_running));
  page.gauge("vllm:num_requests_waiting", "Sequences waiting for a slot.",
             static_cast<double>(stats.requests_waiting));
  page.gauge("vllm:kv_cache_usage_perc", "KV pages in use over pages there are, 0 to 1.",
             stats.kv_usage);
  page.gauge("process_resident_memory_bytes", "Resident memory.", resident_bytes());
}

void write_counters(Page& page, const EngineStats& stats) {
  page.counter("vllm:num_preemptions_total", "Sequences stopped to free pages.", stats.preemptions);
  page.counter("vllm:prompt_tokens_total", "Prompt tokens taken in.", stats.prompt_tokens);
  page.counter("vllm:prompt_tokens_cached_total", "Prompt tokens found in the prefix cache.",
               stats.prompt_tokens_cached);
  page.counter("vllm:generation_tokens_total", "Tokens generated.", stats.generation_tokens);
  constexpr std::string_view kSuccess = "vllm:request_success_total";
  page.head(kSuccess, "Requests that ended, by reason.", "counter");
  constexpr std::array kReasons = {"stop", "length", "abort", "error"};  // by FinishReason
  for (size_t i = 0; i < kReasons.size(); ++i) {
    page.line(kSuccess, fmt::format(",finished_reason=\"{}\"", kReasons[i]),
              static_cast<double>(stats.finished[i]));
  }
  page.counter("hadal:steps_total", "Steps of the engine.", stats.steps);
  page.head("hadal:host_time_seconds_total", "Time spent planning and applying steps.", "counter");
  page.line("hadal:host_time_seconds_total", "", static_cast<double>(stats.host_time_ns) * 1e-9);
}

// vLLM's benchmark client reads the lines that start with vllm:spec_decode and end in _total.
void write_speculation(Page& page, const EngineStats& stats) {
  page.counter("vllm:spec_decode_num_drafts_total", "Verifications with a draft.",
               stats.spec_drafts);
  page.counter("vllm:spec_decode_num_draft_tokens_total", "Tokens drafted.",
               stats.spec_draft_tokens);
  page.counter("vllm:spec_decode_num_accepted_tokens_total", "Drafted tokens accepted.",
               stats.spec_accepted_tokens);
  constexpr std::string_view kPerPosition = "vllm:spec_decode_num_accepted_tokens_per_pos_total";
  constexpr std::string_view kProposed = "hadal:spec_decode_num_draft_tokens_per_pos_total";
  page.head(kPerPosition, "Drafted tokens accepted, by position.", "counter");
  for (size_t i = 0; i < stats.spec_accepted_per_position.size(); ++i) {
    page.line(kPerPosition, fmt::format(",position=\"{}\"", i),
              static_cast<double>(stats.spec_accepted_per_position[i]));
  }
  page.head(kProposed, "Tokens drafted, by position.", "counter");
  for (size_t i = 0; i < stats.spec_proposed_per_position.size(); ++i) {
    page.line(kProposed, fmt::format(",position=\"{}\"", i),
              static_cast<double>(stats.spec_proposed_per_position[i]));
  }
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds), counts_(std::make_unique<std::atomic<uint64_t>[]>(bounds.size() + 1)) {
  HADAL_CHECK(std::ranges::is_sorted(bounds), "bounds of a histogram must ascend");
}

void Histogram::observe(double value) {
  // A bound belongs to its own bucket: "le" means less or equal.
  const auto bucket = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

void Histogram::write(std::string& out, std::string_view name, std::string_view help,
                      std::string_view labels) const {
  const auto append = std::back_inserter(out);
  fmt::format_to(append, "# HELP {0} {1}\n# TYPE {0} histogram\n", name, help);
  uint64_t total = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    total += counts_[i].load(std::memory_order_relaxed);
    fmt::format_to(append, "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bounds_[i], total);
  }
  total += counts_[bounds_.size()].load(std::memory_order_relaxed);
  fmt::format_to(append, "{}_bucket{{{},le=\"+Inf\"}} {}\n", name, labels, total);
  fmt::format_to(append, "{0}_sum{{{1}}} {2}\n{0}_count{{{1}}} {3}\n", name, labels,
                 sum_.load(std::memory_order_relaxed), total);
}

ServerMetrics::ServerMetrics()
    : time_to_first_token_s(kFirstTokenBounds),
      inter_token_latency_s(kTokenBounds),
      e2e_request_latency_s(kRequestBounds) {}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string metrics_page(const ServerMetrics& metrics, const EngineStats& stats,
                         std::string_view model_name) {
  Page page(model_name);
  write_gauges(page, stats);
  write_counters(page, stats);
  write_speculation(page, stats);
  metrics.time_to_first_token_s.write(page.text, "vllm:time_to_first_token_seconds",
                                      "From a request's arrival to its first token.",
                                      page.labels());
  metrics.inter_token_latency_s.write(page.text, "vllm:inter_token_latency_seconds",
                                      "Between the steps that gave a request tokens.",
                                      page.labels());
  metrics.e2e_request_latency_s.write(page.text, "vllm:e2e_request_latency_seconds",
                                      "From a request's arrival to its end.", page.labels());
  page.counter("hadal:slow_readers_dropped_total", "Streams ended because nobody read them.",
               metrics.slow_readers_dropped.load());
  page.counter("hadal:requests_refused_total", "Requests answered with an error status.",
               metrics.requests_refused.load());
  return std::move(page.text);
}

}  // namespace hadal
