// MLA decode with plain loads, for every architecture.
#include "kernels/mla/decode.cuh"

namespace hadal::kernels::mla {

cudaError_t launch_generic(const Params& params, cudaStream_t stream) {
  return launch_decode<PageFetch::kPlain>(params, LaunchOrder::kSerial, stream);
}

}  // namespace hadal::kernels::mla
