#include <gtest/gtest.h>

#include "sim/episode.h"
#include "sim/shrink.h"

namespace hadal::sim {
namespace {

// A failing seed replays with: hadal_sim --seed SEED --episodes 1 [--shrink]
Report run_seeds(uint64_t first, int count, int recount_steps) {
  Report total;
  for (uint64_t seed = first; seed < first + static_cast<uint64_t>(count); ++seed) {
    SCOPED_TRACE(describe(scenario_of(seed)));
    announce(seed);
    Scenario scenario = scenario_of(seed);
    scenario.recount_steps = recount_steps;
    try {
      total.add(run_episode(scenario));
    } catch (const std::exception& failure) {
      ADD_FAILURE() << failure.what();
    }
  }
  return total;
}

TEST(Simulation, PropertiesHoldWithAFullRecountAfterEveryStep) {
  const Report total = run_seeds(1, 150, 1);
  EXPECT_GT(total.preemptions, 100);
  EXPECT_GT(total.cached_tokens, 10000);
  EXPECT_GT(total.inert_rows, 100);
}

// Draft counters do not depend on the mode while nothing is preempted and nobody interferes.
TEST(Simulation, SynchronousAndAsynchronousCountTheSame) {
  int compared = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Scenario scenario = scenario_of(seed);
    scenario.cancels = scenario.stops = 0;
    scenario.fault = Fault::kNone;
    announce(seed);
    scenario.engine.steps_in_flight_max = 1;
    const Report sync = run_episode(scenario);
    scenario.engine.steps_in_flight_max = 2;
    const Report async = run_episode(scenario);
    EXPECT_EQ(sync.tokens, async.tokens) << "seed " << seed;
    if (sync.preemptions + async.preemptions > 0) continue;
    ++compared;
    EXPECT_EQ(sync.drafts.verifications, async.drafts.verifications) << "seed " << seed;
    EXPECT_EQ(sync.drafts.proposed, async.drafts.proposed) << "seed " << seed;
    EXPECT_EQ(sync.drafts.accepted, async.drafts.accepted) << "seed " << seed;
  }
  EXPECT_GT(compared, 50);
}

}  // namespace
}  // namespace hadal::sim
