#include "hadal/server/server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "hadal/base/log.h"
#include "server/connection_threads.h"
#include "server/routes.h"
#include "server/server_state.h"

namespace hadal {
namespace {

// Above the idle time of the pools of the known clients and proxies, so that it is they who close.
constexpr std::chrono::seconds kKeepAlive(90);
constexpr size_t kRequestsPerConnectionMax = size_t{1} << 30;
constexpr std::chrono::seconds kReadTimeout(10);
// A stalled reader is given up after this; by then the kernel has buffered megabytes for it.
constexpr std::chrono::seconds kWriteTimeout(30);
constexpr int kBacklog = 4096;
// After the last request has ended, how long its bytes may still take.
constexpr Duration kLastBytes = std::chrono::seconds(5);

class HttpServer final : public Server {
 public:
  HttpServer(const ServerOptions& options, const Clock& clock) : state_(options, clock) {}
  ~HttpServer() override { stop(); }

  Status start();
  int port() const override { return port_; }
  OutputSink& sink() override { return state_.dispatcher; }
  void set_progress(const std::string& phase, double fraction) override {
    state_.set_progress(phase, fraction);
  }
  void open(const ServedModel& model) override;
  void begin_drain() override { set_ending(Phase::kDraining); }
  void set_failed() override { set_ending(Phase::kFailed); }
  void stop() override;

 private:
  void configure();
  Status bind();
  void set_ending(Phase phase);

  ServerState state_;
  httplib::Server http_;
  int socket_ = -1;  // the listening one, the library's
  int port_ = 0;
  std::thread accepting_;
};

void HttpServer::configure() {
  const Limits& limits = state_.options.limits;
  http_.new_task_queue = [threads_max = limits.connections_max]() -> httplib::TaskQueue* {
    // The library takes ownership through this pointer.
    return std::make_unique<ConnectionThreads>(threads_max).release();
  };
  http_.set_tcp_nodelay(true);
  http_.set_keep_alive_timeout(kKeepAlive.count());
  http_.set_keep_alive_max_count(kRequestsPerConnectionMax);
  http_.set_read_timeout(kReadTimeout);
  http_.set_write_timeout(kWriteTimeout);
  http_.set_payload_max_length(limits.body_bytes_max);
  http_.set_socket_options([this](socket_t socket) {
    // Not SO_REUSEPORT, the library's default: a second server on the port must fail.
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    socket_ = socket;
  });
  install_routes(http_, state_);
}

Status HttpServer::bind() {
  const ServerOptions& options = state_.options;
  int bind_errno = 0;
  http_.set_error_logger([&bind_errno](const httplib::Error& error, const httplib::Request*) {
    if (error == httplib::Error::BindIPAddress) bind_errno = errno;
  });
  if (options.port == 0) {
    port_ = http_.bind_to_any_port(options.host);
  } else {
    port_ = http_.bind_to_port(options.host, options.port) ? options.port : -1;
  }
  http_.set_error_logger(nullptr);
  if (port_ > 0) return {};
  const char* reason = bind_errno != 0 ? std::strerror(bind_errno) : "the address is not valid";
  return Error{ErrorCode::kIo, fmt::format("--host {} --port {}: cannot listen: {}",
                                           printable(options.host), options.port, reason)};
}

Status HttpServer::start() {
  configure();
  HADAL_RETURN_IF_ERROR(bind());
  // Again, because the library's own backlog may be as small as 5: a burst of clients would be
  // dropped by the kernel.
  ::listen(socket_, kBacklog);
  accepting_ = std::thread([this] { http_.listen_after_bind(); });
  http_.wait_until_ready();
  return {};
}

void HttpServer::open(const ServedModel& model) {
  HADAL_CHECK(state_.phase == Phase::kLoading, "open() belongs to the loading state");
  state_.dispatcher.attach(model.engine);
  state_.model.emplace(model);
  state_.phase.store(Phase::kReady, std::memory_order_release);
}

// Draining and failing have an engine to speak of only if there was one; before that, loading is
// what clients are told until the end.
void HttpServer::set_ending(Phase phase) {
  if (state_.phase != Phase::kLoading) state_.phase.store(phase, std::memory_order_release);
}

void HttpServer::stop() {
  if (!accepting_.joinable()) return;
  begin_drain();
  if (!state_.gate.wait_empty(kLastBytes)) {
    log().warn("{} answers were still being written at the end", state_.gate.inside());
  }
  http_.stop();
  accepting_.join();
  state_.dispatcher.stop();
}

}  // namespace

Result<std::unique_ptr<Server>> Server::listen(const ServerOptions& options, const Clock& clock) {
  HADAL_CHECK(!options.model_names.empty(), "a server needs a model name");
  auto server = std::make_unique<HttpServer>(options, clock);
  HADAL_RETURN_IF_ERROR(server->start());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace hadal
