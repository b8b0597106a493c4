// What this machine can run.
#pragma once

#include "hadal/ops/cpu/cpu_ops.h"
#include "ops/cpu/kernels.h"

namespace hadal::ops {

// REQUIRES: `isa` is available.
const KernelTable& kernels_of(CpuIsa isa);

}  // namespace hadal::ops
