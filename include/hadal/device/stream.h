// A CUDA stream: the order in which work reaches a device.
//
// Every function of this project that enqueues device work takes a StreamView as its last
// parameter. There is no default stream and no ambient one: two pieces of code that must be ordered
// name the same stream.
#pragma once

#include <cuda_runtime_api.h>

#include "hadal/base/status.h"

namespace hadal::device {

// Names a stream without owning it. Copied freely; valid while its Stream lives.
struct StreamView {
  cudaStream_t handle = nullptr;

  // Blocks the calling thread until everything enqueued so far has run. Reports the first error of
  // that work. Not for the serving path.
  Status synchronize() const;
};

// Owns one non-blocking stream on the device that was current when it was created. Move only.
// Threads: any one at a time.
class Stream {
 public:
  static Result<Stream> create();
  ~Stream();
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  StreamView view() const { return {handle_}; }

 private:
  explicit Stream(cudaStream_t handle) : handle_(handle) {}
  cudaStream_t handle_ = nullptr;
};

}  // namespace hadal::device
