#include "hadal/device/graph.h"

#include <utility>

#include "hadal/device/error.h"

namespace hadal::device {

Result<Graph> Graph::capture(StreamView stream, const std::function<Status()>& enqueue) {
  // Thread-local: another thread's allocation must not break this capture.
  HADAL_RETURN_IF_CUDA_ERROR(
      cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeThreadLocal));
  const Status enqueued = enqueue();
  cudaGraph_t recorded = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream.handle, &recorded);
  cudaGraphExec_t executable = nullptr;
  cudaError_t instantiated = cudaSuccess;
  if (enqueued && ended == cudaSuccess) {
    instantiated = cudaGraphInstantiate(&executable, recorded, 0);
  }
  if (recorded != nullptr) log_if_failed(cudaGraphDestroy(recorded), "cudaGraphDestroy");
  HADAL_RETURN_IF_ERROR(enqueued);
  HADAL_RETURN_IF_CUDA_ERROR(ended);
  HADAL_RETURN_IF_CUDA_ERROR(instantiated);
  return Graph(executable);
}

Graph::~Graph() {
  if (handle_ != nullptr) log_if_failed(cudaGraphExecDestroy(handle_), "cudaGraphExecDestroy");
}

Graph::Graph(Graph&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

Status Graph::launch(StreamView stream) const {
  return HADAL_CUDA_STATUS(cudaGraphLaunch(handle_, stream.handle));
}

}  // namespace hadal::device
