// The table of routes, and what every answer has in common.
#pragma once

#include "server/server_state.h"

namespace httplib {
class Server;
}

namespace hadal {

// Registers every route and the handlers around them: request ids, methods, media types and error
// bodies. REQUIRES: `state` outlives `http`'s last answer.
void install_routes(httplib::Server& http, ServerState& state);

}  // namespace hadal
