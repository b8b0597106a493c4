// What helps with a failing seed.
#pragma once

#include <string>

#include "sim/scenario.h"

namespace hadal::sim {

// Names the seed on stderr if the process aborts (a CHECK) before the next announcement.
void announce(uint64_t seed);

// What went wrong in the scenario, run in a child process because it may be an abort. Empty:
// nothing.
std::string failure_in_child(const Scenario& scenario);

// The fewest requests of a failing scenario that still fail, as one line.
std::string shrink(const Scenario& scenario);

}  // namespace hadal::sim
