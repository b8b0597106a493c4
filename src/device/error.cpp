#include "hadal/device/error.h"

#include <fmt/format.h>

#include "hadal/base/log.h"

namespace hadal::device {

Status status_of(cudaError_t code, std::string_view call, std::string_view file, int line) {
  if (code == cudaSuccess) return {};
  // Takes the error off the thread's record, so that the next launch check does not report it
  // again.
  static_cast<void>(cudaGetLastError());
  return Error{ErrorCode::kDevice, fmt::format("{} at {}:{} failed: {} ({})", call, file, line,
                                               cudaGetErrorString(code), cudaGetErrorName(code))};
}

void log_if_failed(cudaError_t code, std::string_view call) {
  if (code == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  log().error("{} failed: {} ({})", call, cudaGetErrorString(code), cudaGetErrorName(code));
}

}  // namespace hadal::device
