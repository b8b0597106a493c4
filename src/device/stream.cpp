#include "hadal/device/stream.h"

#include <utility>

#include "hadal/device/error.h"

namespace hadal::device {

Status StreamView::synchronize() const {
  return HADAL_CUDA_STATUS(cudaStreamSynchronize(handle));
}

Result<Stream> Stream::create() {
  cudaStream_t handle = nullptr;
  // Non-blocking: the legacy default stream, which libraries may touch, must not order our work.
  HADAL_RETURN_IF_CUDA_ERROR(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking));
  return Stream(handle);
}

Stream::~Stream() {
  if (handle_ != nullptr) log_if_failed(cudaStreamDestroy(handle_), "cudaStreamDestroy");
}

Stream::Stream(Stream&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

}  // namespace hadal::device
