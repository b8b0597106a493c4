// The benchmarked families. Each runs its cases and adds them to the report.
#pragma once

#include "hadal/base/status.h"
#include "hadal/device/stream.h"
#include "kernels/harness.h"

namespace hadal::bench {

struct Session {
  const Ceilings& ceilings;
  Report& report;
  device::StreamView stream;
  int multiprocessors = 0;
};

Status bench_fp8_gemm(Session& session);
Status bench_mla(Session& session);
Status bench_moe(Session& session);
Status bench_norm(Session& session);

// Measures one case and adds it to the report.
Status run_case(Session& session, const Case& measured);

}  // namespace hadal::bench
