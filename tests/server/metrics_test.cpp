#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace hadal {
namespace {

using ::testing::HasSubstr;

TEST(Histogram, BucketsAreCumulativeAndABoundBelongsToItsOwn) {
  static constexpr std::array kBounds = {1.0, 2.0, 4.0};
  Histogram histogram(kBounds);
  for (const double value : {0.5, 1.0, 1.5, 4.0, 9.0}) histogram.observe(value);
  std::string page;
  histogram.write(page, "x", "Help.", "a=\"b\"");
  EXPECT_EQ(page,
            "# HELP x Help.\n# TYPE x histogram\n"
            "x_bucket{a=\"b\",le=\"1\"} 2\nx_bucket{a=\"b\",le=\"2\"} 3\n"
            "x_bucket{a=\"b\",le=\"4\"} 4\nx_bucket{a=\"b\",le=\"+Inf\"} 5\n"
            "x_sum{a=\"b\"} 16\nx_count{a=\"b\"} 5\n");
}

TEST(MetricsPage, CarriesTheEnginesCounters) {
  EngineStats stats;
  stats.generation_tokens = 12'345'678;
  stats.spec_accepted_tokens = 17;
  stats.spec_accepted_per_position = {9, 5, 3};
  stats.finished = {4, 3, 2, 1};
  stats.kv_usage = 0.25;
  const ServerMetrics metrics;
  const std::string page = metrics_page(metrics, stats, "m\"1\\");
  const std::string labels = R"({model_name="m\"1\\",engine="0")";
  for (const std::string& line : {
           "vllm:generation_tokens_total" + labels + "} 12345678\n",
           "vllm:spec_decode_num_accepted_tokens_total" + labels + "} 17\n",
           "vllm:spec_decode_num_accepted_tokens_per_pos_total" + labels + ",position=\"1\"} 5\n",
           "vllm:request_success_total" + labels + ",finished_reason=\"length\"} 3\n",
           "vllm:request_success_total" + labels + ",finished_reason=\"abort\"} 2\n",
           "vllm:kv_cache_usage_perc" + labels + "} 0.25\n",
           std::string("# TYPE vllm:num_requests_running gauge\n"),
           std::string("# TYPE vllm:prompt_tokens_total counter\n"),
       }) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

}  // namespace
}  // namespace hadal
