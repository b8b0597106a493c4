#include "bench_client/http_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include "bench_client/response_parser.h"
#include "hadal/base/log.h"

namespace hadal {
namespace {

constexpr size_t kErrorBytesMax = 64 << 10;
constexpr int kCancelCheckMs = 100;

Error io_error(const HttpUrl& url, std::string_view reason) {
  return Error{ErrorCode::kIo,
               fmt::format("http://{}:{}: {}", printable(url.host), url.port, reason)};
}

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

Result<Socket> connect_to(const HttpUrl& url) {
  const addrinfo hints{.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  const int code = getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
  if (code != 0) return io_error(url, gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  int last_errno = 0;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    Socket socket(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket.fd() >= 0 && ::connect(socket.fd(), address->ai_addr, address->ai_addrlen) == 0) {
      const int on = 1;
      setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      return socket;
    }
    last_errno = errno;
  }
  return io_error(url, std::strerror(last_errno));
}

std::string request_text(const HttpUrl& url, const HttpClientRequest& request) {
  return fmt::format(
      "{} {}{} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\nAccept: */*\r\n"
      "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
      request.method, url.path, request.path, url.host, url.port, request.body.size(),
      request.body);
}

Status send_all(const HttpUrl& url, int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return io_error(url, std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return {};
}

// Bytes read; 0: the connection has ended; -1: asked to cancel.
Result<ssize_t> receive(const HttpUrl& url, int fd, std::span<char> buffer,
                        const HttpClientHooks& hooks) {
  while (true) {
    if (hooks.is_cancelled && hooks.is_cancelled()) return ssize_t{-1};
    pollfd waiting{.fd = fd, .events = POLLIN};
    const int ready = ::poll(&waiting, 1, kCancelCheckMs);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got >= 0) return got;
    if (errno != EINTR) return io_error(url, std::strerror(errno));
  }
}

void give_out(std::string_view body, const HttpClientHooks& hooks, HttpClientResponse& response) {
  if (response.status >= 200 && response.status < 300) {
    if (hooks.on_body && !body.empty()) hooks.on_body(body);
  } else {
    response.error_body += body.substr(0, kErrorBytesMax - response.error_body.size());
  }
}

}  // namespace

Result<HttpUrl> parse_http_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  const auto refuse = [&] {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--url: found '{}', wanted http://host[:port]", printable(url))};
  };
  if (!url.starts_with(kScheme)) return refuse();
  std::string_view rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view path = rest.substr(slash);
  while (path.ends_with('/')) path.remove_suffix(1);
  rest = rest.substr(0, slash);
  HttpUrl result{.host = std::string(rest), .port = "80", .path = std::string(path)};
  const size_t colon = rest.rfind(':');
  const size_t bracket = rest.rfind(']');  // the end of an IPv6 address
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    result.host = rest.substr(0, colon);
    result.port = rest.substr(colon + 1);
  }
  if (result.host.starts_with('[') && result.host.ends_with(']')) {
    result.host = result.host.substr(1, result.host.size() - 2);
  }
  const bool has_port =
      !result.port.empty() && result.port.find_first_not_of("0123456789") == std::string::npos;
  if (result.host.empty() || !has_port) return refuse();
  return result;
}

Result<HttpClientResponse> send_http(const HttpUrl& url, const HttpClientRequest& request,
                                     const HttpClientHooks& hooks) {
  HADAL_ASSIGN_OR_RETURN(const Socket socket, connect_to(url));
  HADAL_RETURN_IF_ERROR(send_all(url, socket.fd(), request_text(url, request)));
  HttpClientResponse response;
  ResponseParser parser;
  std::array<char, 16384> buffer{};
  while (!parser.done()) {
    HADAL_ASSIGN_OR_RETURN(const ssize_t got, receive(url, socket.fd(), buffer, hooks));
    if (got < 0) {
      response.cancelled = true;
      return response;
    }
    if (got == 0) {
      HADAL_RETURN_IF_ERROR(parser.finish());
      break;
    }
    std::string body;
    HADAL_RETURN_IF_ERROR(parser.feed({buffer.data(), static_cast<size_t>(got)}, body));
    response.status = parser.status();
    give_out(body, hooks, response);
  }
  return response;
}

}  // namespace hadal
