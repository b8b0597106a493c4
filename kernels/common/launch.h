// How every launcher of kernels/ starts its kernel.
//
// A launcher checks its parameters, starts one kernel on the stream it is given and returns the
// error of the launch; it never allocates, never synchronises and never reads device memory, so all
// of them may be captured in a CUDA graph.
#pragma once

#include <cuda_runtime.h>

namespace hadal::kernels {

// Whether a kernel may start while its predecessor on the stream still runs. With kOverlapped the
// kernel itself waits (pdl.cuh) before it touches anything that the predecessor wrote; what it does
// before that, such as fetching weights, hides the launch. REQUIRES for kOverlapped: the
// predecessor is a kernel of this project, launched through this header.
enum class LaunchOrder { kSerial, kOverlapped };

#ifdef __CUDACC__
struct LaunchShape {
  unsigned blocks = 0;
  unsigned threads = 0;
  unsigned shared_bytes = 0;
};

template <typename Params>
cudaError_t launch(void (*kernel)(Params), const Params& params, LaunchShape shape,
                   LaunchOrder order, cudaStream_t stream) {
  if (shape.blocks == 0) return cudaSuccess;
  constexpr unsigned kSharedBytesWithoutOptIn = 48 * 1024;
  if (shape.shared_bytes > kSharedBytesWithoutOptIn) {
    const cudaError_t code = cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes));
    if (code != cudaSuccess) return code;
  }
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(shape.blocks);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = order == LaunchOrder::kOverlapped ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, params);
}
#endif

}  // namespace hadal::kernels
