// Measures kernels as a serving step runs them: inside a CUDA graph, with inputs that the cache
// does not hold.
//
// A case enqueues one launch for input set `i`. The harness captures a graph of many launches that
// walk through the input sets, replays it, and reports the median replay divided by the launches.
// Input sets together must be larger than the second-level cache (checked), so every launch reads
// its weights or cache pages from device memory.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "hadal/base/status.h"
#include "hadal/device/stream.h"

namespace hadal::bench {

// What one machine can do, measured in the same run as the kernels.
struct Ceilings {
  double read_tb_s = 0;     // a stream of reads
  double copy_tb_s = 0;     // reads plus writes of a copy
  double bf16_tflop_s = 0;  // back-to-back WGMMA from shared memory
  double fp8_tflop_s = 0;
};
Result<Ceilings> measure_ceilings(device::StreamView stream);

enum class Bound { kRead, kCopy, kBf16, kFp8 };

struct Case {
  std::string family;
  std::string shape;  // what the numbers below belong to, e.g. "gate_up 512x7168"
  int tokens = 0;
  std::string variant = {};  // "balanced", "fixed split 8", "generic", ...
  Bound bound = Bound::kRead;
  double bytes = 0;  // of one launch, averaged over the input sets; each byte once
  double flops = 0;
  int kernels = 1;       // kernels of one launch, for the law of small work
  int input_sets = 1;    // enqueue takes 0..input_sets-1
  double set_bytes = 0;  // of device memory that one input set touches
  std::function<Status(int input_set, device::StreamView)> enqueue;
};

struct Measurement {
  double us = 0;         // median, one launch
  double us_spread = 0;  // (90th - 10th percentile) of the replays, one launch
  double tb_s = 0;
  double tflop_s = 0;
  double fraction = 0;  // of the ceiling that binds the case
  double law_us = 0;    // bytes / (0.85 read ceiling) + 2 us a kernel
};

Result<Measurement> measure(const Case& measured, const Ceilings& ceilings,
                            device::StreamView stream);

// Collects lines for the table and the JSON file.
class Report {
 public:
  Report(const Ceilings& ceilings, std::string commit);
  void add(const Case& measured, const Measurement& result);
  void print_header() const;
  // {"card", "driver", "commit", "ceilings", "results": [...]}
  Status write_json(const std::string& path) const;

 private:
  struct Line {
    Case measured;
    Measurement result;
  };
  Ceilings ceilings_;
  std::string commit_;
  std::vector<Line> lines_;
};

}  // namespace hadal::bench
