// A small HTTP/1.1 client over plain sockets: one request a connection, the body given out as it
// arrives. Enough for this API; no TLS, no redirects, no compression.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "hadal/base/status.h"

namespace hadal {

struct HttpUrl {
  std::string host;
  std::string port;
  std::string path;  // without a trailing slash; often empty
};

// http://host[:port][/path]; kInvalidArgument otherwise.
Result<HttpUrl> parse_http_url(std::string_view url);

struct HttpClientRequest {
  std::string method;
  std::string path;  // behind the URL's
  std::string body;  // JSON; empty: none
};

struct HttpClientResponse {
  int status = 0;
  std::string error_body;  // for a status other than 2xx; cut at kErrorBytesMax
  bool cancelled = false;
};

struct HttpClientHooks {
  // Called with each piece of a 2xx answer's body.
  std::function<void(std::string_view)> on_body;
  // Asked between pieces and when a signal arrives; true ends the request.
  std::function<bool()> is_cancelled;
};

// kIo: no connection, or it broke; kBadFile: what came is not HTTP. Blocks; call from one thread.
Result<HttpClientResponse> send_http(const HttpUrl& url, const HttpClientRequest& request,
                                     const HttpClientHooks& hooks);

}  // namespace hadal
