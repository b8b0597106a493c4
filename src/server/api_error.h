// The one place where errors become HTTP: status, OpenAI's error body, and when to retry.
#pragma once

#include <optional>
#include <string>

#include "hadal/base/status.h"

namespace hadal {

struct ApiError {
  int status = 500;
  std::string message;
  std::string type = "server_error";
  std::string code;   // empty: null
  std::string param;  // empty: null
  std::optional<int> retry_after_s;
};

ApiError to_api_error(const Error& error);

// Errors that the HTTP layer itself makes: 404, 405, 413, 415 …
ApiError http_error(int status);

ApiError engine_loading();
ApiError engine_draining();
ApiError engine_failed();
ApiError too_many_streams(int streams_max);

// {"error": {"message", "type", "param", "code"}}
std::string error_body(const ApiError& error);

}  // namespace hadal
