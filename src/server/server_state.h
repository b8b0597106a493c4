// What the routes share.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "hadal/server/server.h"
#include "server/api_error.h"
#include "server/metrics.h"
#include "server/output_dispatcher.h"
#include "server/random_source.h"
#include "server/stream_gate.h"

namespace hadal {

enum class Phase { kLoading, kReady, kDraining, kFailed };

struct ServerState {
  ServerState(const ServerOptions& server_options, const Clock& server_clock)
      : options(server_options),
        clock(server_clock),
        gate(server_options.limits.streams_max),
        seeds(server_options.seed),
        dispatcher(server_options.output_threads, metrics, server_clock) {}

  // Why a request cannot be served now; none: it can. When it can, `model` is set.
  std::optional<ApiError> unavailable() const {
    switch (phase.load(std::memory_order_acquire)) {
      case Phase::kReady:
        return std::nullopt;
      case Phase::kLoading:
        return engine_loading();
      case Phase::kDraining:
        return engine_draining();
      case Phase::kFailed:
        break;
    }
    return engine_failed();
  }

  void set_progress(const std::string& step, double fraction) {
    std::lock_guard lock(progress_mutex);
    progress = {step, fraction};
  }
  std::pair<std::string, double> get_progress() const {
    std::lock_guard lock(progress_mutex);
    return progress;
  }

  const ServerOptions options;
  const Clock& clock;
  std::atomic<Phase> phase{Phase::kLoading};
  std::optional<ServedModel> model;  // written before phase leaves kLoading, then constant

  StreamGate gate;
  SeedSource seeds;
  ServerMetrics metrics;
  OutputDispatcher dispatcher;

  mutable std::mutex progress_mutex;
  std::pair<std::string, double> progress{"starting", 0.0};  // guarded by progress_mutex
};

}  // namespace hadal
