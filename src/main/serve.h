// `hadal serve`: builds the object graph, runs it until a signal or a failure, takes it down.
#pragma once

#include <string>

#include "hadal/config/config.h"

namespace hadal {

// Returns the exit code: 0 after a signal, 1 after a failure of the engine, 2 when it could not
// start; the one line that says why has then been printed.
int run_serve(const ServeConfig& config, const std::string& version);

}  // namespace hadal
