#include "kernels/harness.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "hadal/device/error.h"
#include "hadal/device/event.h"
#include "hadal/device/graph.h"

namespace hadal::bench {
namespace {

constexpr int kReplays = 21;
constexpr double kGraphUsMin = 2000;  // shorter graphs would time the launch of the graph
constexpr int kLaunchesMax = 400;

double percentile(const std::vector<double>& sorted, double p) {
  return sorted[static_cast<std::size_t>(p * static_cast<double>(sorted.size() - 1) + 0.5)];
}

Result<device::Graph> capture(const Case& measured, int launches, device::StreamView stream) {
  return device::Graph::capture(stream, [&]() -> Status {
    for (int i = 0; i < launches; ++i) {
      HADAL_RETURN_IF_ERROR(measured.enqueue(i % measured.input_sets, stream));
    }
    return {};
  });
}

Result<std::vector<double>> replay(const device::Graph& graph, int replays,
                                   device::StreamView stream) {
  HADAL_ASSIGN_OR_RETURN(device::Event begin, device::Event::create(device::EventTiming::kOn));
  HADAL_ASSIGN_OR_RETURN(device::Event end, device::Event::create(device::EventTiming::kOn));
  std::vector<double> times;
  for (int i = 0; i < replays; ++i) {
    HADAL_RETURN_IF_ERROR(begin.record(stream));
    HADAL_RETURN_IF_ERROR(graph.launch(stream));
    HADAL_RETURN_IF_ERROR(end.record(stream));
    HADAL_RETURN_IF_ERROR(end.synchronize());
    HADAL_ASSIGN_OR_RETURN(const double us, elapsed_us(begin, end));
    times.push_back(us);
  }
  std::sort(times.begin(), times.end());
  return times;
}

double fraction_of(const Case& measured, const Ceilings& ceilings, const Measurement& m) {
  switch (measured.bound) {
    case Bound::kRead:
      return m.tb_s / ceilings.read_tb_s;
    case Bound::kCopy:
      return m.tb_s / ceilings.copy_tb_s;
    case Bound::kBf16:
      return m.tflop_s / ceilings.bf16_tflop_s;
    case Bound::kFp8:
      return m.tflop_s / ceilings.fp8_tflop_s;
  }
  return 0;
}

}  // namespace

Result<Measurement> measure(const Case& measured, const Ceilings& ceilings,
                            device::StreamView stream) {
  cudaDeviceProp properties;
  HADAL_RETURN_IF_CUDA_ERROR(cudaGetDeviceProperties(&properties, 0));
  const double rotation = measured.set_bytes * measured.input_sets;
  if (rotation < 2.0 * properties.l2CacheSize) {
    return Error{
        ErrorCode::kInternal,
        fmt::format("{} {}: input sets hold {:.0f} MB, the cache {:.0f} MB", measured.family,
                    measured.shape, rotation / 1e6, properties.l2CacheSize / 1e6)};
  }
  const double guess_us = measured.bytes / (ceilings.read_tb_s * 1e6) +
                          measured.flops / (ceilings.fp8_tflop_s * 1e6) + 2;
  const int launches = std::clamp(static_cast<int>(kGraphUsMin / guess_us),
                                  std::min(measured.input_sets, 8), kLaunchesMax);
  HADAL_ASSIGN_OR_RETURN(const device::Graph graph, capture(measured, launches, stream));
  HADAL_ASSIGN_OR_RETURN(std::vector<double> times, replay(graph, 2, stream));
  HADAL_ASSIGN_OR_RETURN(times, replay(graph, kReplays, stream));
  Measurement m;
  m.us = percentile(times, 0.5) / launches;
  m.us_spread = (percentile(times, 0.9) - percentile(times, 0.1)) / launches;
  m.tb_s = measured.bytes / m.us / 1e6;
  m.tflop_s = measured.flops / m.us / 1e6;
  m.fraction = fraction_of(measured, ceilings, m);
  m.law_us = measured.bytes / (0.85 * ceilings.read_tb_s * 1e6) + 2.0 * measured.kernels;
  return m;
}

Report::Report(const Ceilings& ceilings, std::string commit)
    : ceilings_(ceilings), commit_(std::move(commit)) {}

void Report::print_header() const {
  fmt::print(
      "ceilings: read {:.2f} TB/s, copy {:.2f} TB/s, bf16 {:.0f} TFLOP/s, fp8 {:.0f} TFLOP/s\n",
      ceilings_.read_tb_s, ceilings_.copy_tb_s, ceilings_.bf16_tflop_s, ceilings_.fp8_tflop_s);
  fmt::print("{:<9} {:<28} {:>6} {:<16} {:>9} {:>7} {:>7} {:>7} {:>6} {:>8}\n", "family", "shape",
             "tokens", "variant", "us", "+-", "TB/s", "TFLOP/s", "of top", "law us");
}

void Report::add(const Case& measured, const Measurement& m) {
  lines_.push_back({measured, m});
  fmt::print("{:<9} {:<28} {:>6} {:<16} {:>9.2f} {:>7.2f} {:>7.2f} {:>7.1f} {:>5.0f}% {:>8.2f}\n",
             measured.family, measured.shape, measured.tokens, measured.variant, m.us, m.us_spread,
             m.tb_s, m.tflop_s, 100 * m.fraction, m.law_us);
  std::fflush(stdout);
}

Status Report::write_json(const std::string& path) const {
  cudaDeviceProp properties;
  HADAL_RETURN_IF_CUDA_ERROR(cudaGetDeviceProperties(&properties, 0));
  int driver = 0;
  HADAL_RETURN_IF_CUDA_ERROR(cudaDriverGetVersion(&driver));
  nlohmann::json results = nlohmann::json::array();
  for (const Line& line : lines_) {
    results.push_back({{"family", line.measured.family},
                       {"shape", line.measured.shape},
                       {"tokens", line.measured.tokens},
                       {"variant", line.measured.variant},
                       {"us", line.result.us},
                       {"us_spread", line.result.us_spread},
                       {"bytes", line.measured.bytes},
                       {"flops", line.measured.flops},
                       {"tb_s", line.result.tb_s},
                       {"tflop_s", line.result.tflop_s},
                       {"fraction_of_ceiling", line.result.fraction},
                       {"law_us", line.result.law_us}});
  }
  const nlohmann::json document = {{"card", properties.name},
                                   {"cuda_driver", driver},
                                   {"commit", commit_},
                                   {"ceilings",
                                    {{"read_tb_s", ceilings_.read_tb_s},
                                     {"copy_tb_s", ceilings_.copy_tb_s},
                                     {"bf16_tflop_s", ceilings_.bf16_tflop_s},
                                     {"fp8_tflop_s", ceilings_.fp8_tflop_s}}},
                                   {"results", results}};
  std::ofstream file(path);
  file << document.dump(1) << '\n';
  if (!file.flush()) return Error{ErrorCode::kIo, fmt::format("cannot write {}", path)};
  return {};
}

}  // namespace hadal::bench
