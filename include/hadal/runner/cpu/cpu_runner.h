// Runs steps on the CPU backend, on a thread of its own, so that the engine's loop may plan the
// next step meanwhile: the same Runner as a GPU's, and the engine on a machine without one.
//
// What does not fit fails in create(), naming what was found and wanted. A step that throws (no
// memory) makes poll() give an error; a violated invariant aborts the process.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "hadal/base/status.h"
#include "hadal/checkpoint/checkpoint.h"
#include "hadal/core/limits.h"
#include "hadal/model/step.h"
#include "hadal/ops/cpu/cpu_ops.h"
#include "hadal/ops/cpu/cpu_step_state.h"
#include "hadal/runner/runner.h"

namespace hadal {

struct CpuRunnerOptions {
  int32_t slots = 256;                  // Limits::max_num_seqs
  int32_t query_tokens_max = 2048;      // Limits::max_num_batched_tokens
  int32_t max_model_len = 0;            // Limits::max_model_len; 0: what model and pages allow
  int32_t drafts_max = 0;               // largest K; above 0 the MTP layer is loaded
  int64_t kv_bytes = int64_t{1} << 30;  // budget of the KV pages
  int threads = 0;                      // 0: one a processor
  std::optional<ops::CpuIsa> isa = {};  // none: the fastest
  ChainState chain = ChainState::kPostNorm;
  ops::DraftChoice draft_choice = ops::DraftChoice::kGreedy;
};

// What a start-up report says.
struct CpuRunnerMemory {
  int64_t weight_bytes = 0;
  int64_t kv_bytes = 0;
  int64_t scratch_bytes = 0;
};

class CpuRunner : public Runner {
 public:
  virtual CpuRunnerMemory memory() const = 0;
};

// Loads the model. The checkpoint may be closed afterwards.
Result<std::unique_ptr<CpuRunner>> make_cpu_runner(const Checkpoint& checkpoint,
                                                   const CpuRunnerOptions& options);

}  // namespace hadal
