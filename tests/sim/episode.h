// One simulated life of an engine: the real EngineCore, scheduler and cache over a fake runner and
// a virtual clock, from a scenario. After every turn the properties below hold, or the episode
// throws std::logic_error (or a CHECK of the product aborts).
//
//   (a) pages: the scheduler's and the cache's invariants, in full every recount_steps steps;
//   (b) a found prefix holds what its tokens wrote, next token included (the runner's tags);
//   (c) rows within slots and budget; positions contiguous; each position delivered exactly once;
//   (d) requests enter in order of arrival;
//   (e) if a request is left, something is in flight, and steps make progress;
//   (f) each request gets what it gets alone; after the last one nothing is held;
//   (g) the same in every scheduling mode, because (f) knows no mode;
//   (h) arrived = ended + rejected + running + waiting.
#pragma once

#include <functional>

#include "hadal/scheduler/scheduler.h"
#include "sim/scenario.h"

namespace hadal::sim {

struct Report {
  int64_t episodes = 0;
  int64_t steps = 0;
  int64_t rows = 0;
  int64_t tokens = 0;
  int64_t requests = 0;
  int64_t preemptions = 0;
  int64_t cached_tokens = 0;
  int64_t inert_rows = 0;
  DraftCounts drafts;

  void add(const Report& other);
};

// `takes_part(index)`: whether that arrival of the scenario exists.
Report run_episode(const Scenario& scenario, const std::function<bool(int)>& takes_part = {});

}  // namespace hadal::sim
