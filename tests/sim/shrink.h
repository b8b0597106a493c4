// What helps with a failing seed.
#pragma once

#include <string>

#include "sim/scenario.h"

namespace hadal::sim {

// Names the seed on stderr if the process aborts (a CHECK) before the next announcement.
void announce(uint64_t seed);

// The fewest requests of a failing scenario that still fail, as one line. Runs each trial in a
// child process, because a failure may be an abort.
std::string shrink(const Scenario& scenario);

}  // namespace hadal::sim
