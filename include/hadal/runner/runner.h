// The edge between scheduling and execution: executes plans in order and gives results in order.
//
// Threads: every method is called by the engine's loop thread. The wake-up is called from any
// thread.
#pragma once

#include <cstdint>
#include <functional>

#include "hadal/base/status.h"
#include "hadal/core/step_plan.h"

namespace hadal {

// What the scheduler must know of the machine behind a runner. Constant after start.
struct RunnerInfo {
  int32_t slots = 0;          // sequences that can run at once
  int32_t pages_total = 0;    // KV pages, the trash page included
  int32_t positions_max = 0;  // positions a slot's page table covers
  int32_t vocab_size = 0;
  int32_t drafts_max = 0;        // largest K of any plan; 0: no MTP layer is loaded
  int32_t query_tokens_max = 0;  // of one step
};

class Runner {
 public:
  virtual ~Runner() = default;

  virtual const RunnerInfo& info() const = 0;

  // Called when a result has become ready, or the runner has failed. Set before the first submit().
  virtual void set_wakeup(std::function<void()> wakeup) = 0;

  // Starts the step behind those in flight; returns without waiting for it. `plan` stays unchanged
  // until its result has been polled. A failure that poll() has not told yet drops it. REQUIRES:
  // poll() gave no error; plan has at least one row.
  virtual void submit(const StepPlan& plan) = 0;

  // The oldest finished step. True: `result` is it. False: none has finished. Error: the device has
  // failed; steps in flight are lost and nothing more may be submitted.
  virtual Result<bool> poll(StepResult& result) = 0;

  virtual int in_flight() const = 0;  // submitted and not yet polled
};

}  // namespace hadal
