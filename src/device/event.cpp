#include "hadal/device/event.h"

#include <utility>

#include "hadal/device/error.h"

namespace hadal::device {

Result<Event> Event::create(EventTiming timing) {
  cudaEvent_t handle = nullptr;
  const unsigned flags = timing == EventTiming::kOn ? cudaEventDefault : cudaEventDisableTiming;
  HADAL_RETURN_IF_CUDA_ERROR(cudaEventCreateWithFlags(&handle, flags));
  return Event(handle);
}

Event::~Event() {
  if (handle_ != nullptr) log_if_failed(cudaEventDestroy(handle_), "cudaEventDestroy");
}

Event::Event(Event&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Event& Event::operator=(Event&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

Status Event::record(StreamView stream) {
  return HADAL_CUDA_STATUS(cudaEventRecord(handle_, stream.handle));
}

Status Event::make_wait(StreamView stream) const {
  return HADAL_CUDA_STATUS(cudaStreamWaitEvent(stream.handle, handle_, 0));
}

Result<bool> Event::passed() const {
  const cudaError_t code = cudaEventQuery(handle_);
  if (code == cudaErrorNotReady) return false;
  HADAL_RETURN_IF_CUDA_ERROR(code);
  return true;
}

Status Event::synchronize() const {
  return HADAL_CUDA_STATUS(cudaEventSynchronize(handle_));
}

Result<double> elapsed_us(const Event& begin, const Event& end) {
  float milliseconds = 0;
  HADAL_RETURN_IF_CUDA_ERROR(cudaEventElapsedTime(&milliseconds, begin.handle_, end.handle_));
  return 1e3 * static_cast<double>(milliseconds);
}

}  // namespace hadal::device
