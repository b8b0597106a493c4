// What a failed CUDA call becomes: an Error of code kDevice whose sentence names the call, its
// place and the driver's words. A device error is sticky more often than not, so callers pass it
// up; the engine ends the requests in flight and the process exits (DESIGN, "Failures").
#pragma once

#include <cuda_runtime_api.h>

#include <string_view>

#include "hadal/base/status.h"

namespace hadal::device {

// OK for cudaSuccess, else the Error described above. Threads: any.
Status status_of(cudaError_t code, std::string_view call, std::string_view file, int line);

// For destructors, which have nobody to tell: logs the error and goes on.
void log_if_failed(cudaError_t code, std::string_view call);

}  // namespace hadal::device

// The Status of one CUDA runtime call or kernel launcher.
#define HADAL_CUDA_STATUS(call) ::hadal::device::status_of((call), #call, __FILE__, __LINE__)
// Returns the Error of one CUDA runtime call from the enclosing function.
#define HADAL_RETURN_IF_CUDA_ERROR(call) HADAL_RETURN_IF_ERROR(HADAL_CUDA_STATUS(call))
