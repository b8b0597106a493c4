// MLA decode with pages fetched by the copy engine.
#include "kernels/mla/decode.cuh"

namespace hadal::kernels::mla {

cudaError_t launch_sm90(const Params& params, LaunchOrder order, cudaStream_t stream) {
  return launch_decode<PageFetch::kBulk>(params, order, stream);
}

}  // namespace hadal::kernels::mla
