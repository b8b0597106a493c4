// The AVX2 + FMA + F16C path: the portable arithmetic, faster decoding and wider registers.
#include "ops/cpu/attend_f32.h"
#include "ops/cpu/decode_avx2.h"
#include "ops/cpu/elementwise.h"
#include "ops/cpu/gemm_f32.h"

namespace hadal::ops {

const KernelTable& avx2_kernels() {
  static constexpr KernelTable kTable{.gemm_scratch_bytes = gemm_f32_scratch_bytes,
                                      .gemm = gemm_f32<DecodeAvx2>,
                                      .gemm_f32 = gemm_f32<DecodeAvx2>,
                                      .attend_scratch_bytes = attend_f32_scratch_bytes,
                                      .attend = attend_f32,
                                      .merge_split = merge_split,
                                      .rms_norm = rms_norm,
                                      .add_rms_norm = add_rms_norm,
                                      .silu_mul = silu_mul,
                                      .sigmoid = sigmoid,
                                      .add_scaled = add_scaled,
                                      .to_bf16 = to_bf16,
                                      .from_bf16 = from_bf16};
  return kTable;
}

}  // namespace hadal::ops
