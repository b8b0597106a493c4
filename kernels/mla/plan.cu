// plan: prefix sums of the sequences' pages (or fixed splits). One block, a scan; about 2 us a
// step.
#include "kernels/common/pdl.cuh"
#include "kernels/mla/mla.h"

namespace hadal::kernels::mla {
namespace {

constexpr int kWarps = kSequencesMax / 32;

__global__ void __launch_bounds__(kSequencesMax) plan_kernel(const PlanParams p) {
  __shared__ int warp_sums[kWarps];
  wait_for_predecessor();
  let_successor_start();
  const int sequence = static_cast<int>(threadIdx.x);
  const int lane = sequence % 32;
  const int context = sequence < p.sequences ? p.context[sequence] : 0;
  int grains = ceil_div(context, kPageTokens);
  if (p.split_pages > 0) grains = ceil_div(grains, p.split_pages);
  int inclusive = grains;
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const int other = __shfl_up_sync(~0u, inclusive, step);
    if (lane >= step) inclusive += other;
  }
  if (lane == 31) warp_sums[sequence / 32] = inclusive;
  __syncthreads();
  for (int warp = 0; warp < sequence / 32; ++warp) inclusive += warp_sums[warp];
  if (sequence == 0) p.grains_before[0] = 0;
  if (sequence < p.sequences) p.grains_before[sequence + 1] = inclusive;
}

}  // namespace

cudaError_t launch_plan(const PlanParams& params, LaunchOrder order, cudaStream_t stream) {
  if (params.sequences < 0 || params.sequences > kSequencesMax || params.split_pages < 0) {
    return cudaErrorInvalidValue;
  }
  return launch(plan_kernel, params, {1, kSequencesMax, 0}, order, stream);
}

}  // namespace hadal::kernels::mla
