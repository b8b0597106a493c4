// POST /v1/chat/completions and /v1/completions.
#pragma once

#include "server/api_request.h"
#include "server/server_state.h"

namespace httplib {
struct Request;
struct Response;
}  // namespace httplib

namespace hadal {

// Answers one request, on its worker. Never throws. REQUIRES: `state` outlives the response.
void handle_completion(ServerState& state, Endpoint endpoint, const httplib::Request& request,
                       httplib::Response& response);

// Sets status, headers and OpenAI's error body.
void set_error(httplib::Response& response, const ApiError& error);

}  // namespace hadal
