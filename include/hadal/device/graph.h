// A captured sequence of device work that one call launches again and again.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

#include "hadal/base/status.h"
#include "hadal/device/stream.h"

namespace hadal::device {

// Owns one instantiated graph. Move only. Threads: any one at a time.
class Graph {
 public:
  // Records what `enqueue` gives to `stream`, without running it. Memory that the recorded work
  // names must outlive the graph. If `enqueue` or the capture fails, its Error is returned and the
  // stream is usable again. REQUIRES: `stream` has no capture under way.
  static Result<Graph> capture(StreamView stream, const std::function<Status()>& enqueue);
  ~Graph();
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // Enqueues one run. Two runs on one stream happen one after the other.
  Status launch(StreamView stream) const;

 private:
  explicit Graph(cudaGraphExec_t handle) : handle_(handle) {}
  cudaGraphExec_t handle_ = nullptr;
};

}  // namespace hadal::device
