// The memory-bound steps between the matrix products of an attention block: norms, rotation,
// quantisation, cache write. One pass over the data each.
//
// Roundings are the reference model's: sums and norms in FP32, every tensor that the model has in
// bf16 is rounded to bf16 before it is used further. Safe in a CUDA graph; same source for every
// architecture.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/common/kv_layout.h"
#include "kernels/common/launch.h"

namespace hadal::kernels::norm {

inline constexpr int kHiddenMax = 8192;

// Rows for kernels that gather them and for libraries; tiles (tiled_offset() with scale_stride as
// the capacity) for fp8_gemm.
enum class RowLayout { kRows, kTiles };

// Where quantised rows go: e4m3 with one scale per 128 values.
struct QuantisedRows {
  std::uint8_t* data = nullptr;  // [tokens, hidden]
  float* scale = nullptr;        // [hidden / 128, scale_stride]
  int scale_stride = 0;          // >= tokens; for tiles a multiple of 8
  RowLayout layout = RowLayout::kRows;
};

// residual += x;  y = rms_norm(residual) * weight;  normed = y;  quantised = quantise(y).
struct AddNormQuantParams {
  const __nv_bfloat16* x = nullptr;       // [tokens, hidden]
  __nv_bfloat16* residual = nullptr;      // [tokens, hidden], in and out; null: y = norm(x)
  const __nv_bfloat16* weight = nullptr;  // [hidden]
  float epsilon = 0;
  int tokens = 0;
  int hidden = 0;                   // multiple of 256, at most kHiddenMax
  __nv_bfloat16* normed = nullptr;  // [tokens, hidden]; null: not wanted
  QuantisedRows quantised;          // data null: not wanted
};
cudaError_t launch_add_norm_quant(const AddNormQuantParams& params, LaunchOrder order,
                                  cudaStream_t stream);

// Splits the fused q_a / kv_a product: q_a is normed and quantised for q_b; the latent is normed
// and written to the cache; the key's rotary part is rotated and written to the cache.
struct NormRopeCacheParams {
  const __nv_bfloat16* fused = nullptr;      // [tokens, q_lora_rank + 512 + 64]
  const __nv_bfloat16* q_weight = nullptr;   // [q_lora_rank]
  const __nv_bfloat16* kv_weight = nullptr;  // [512]
  const float2* cos_sin = nullptr;           // [positions, 32]: cosine and sine of pair i
  const int* position = nullptr;             // [tokens]
  const int* slot = nullptr;                 // [tokens]: page * 64 + row; negative: write nothing
  float epsilon = 0;
  int tokens = 0;
  int q_lora_rank = 0;            // multiple of 256, at most 2048
  QuantisedRows q;                // [tokens, q_lora_rank]
  std::uint8_t* cache = nullptr;  // [pages, kv_page_bytes(format)]
  KvFormat format = KvFormat::kFp8;
};
cudaError_t launch_norm_rope_cache(const NormRopeCacheParams& params, LaunchOrder order,
                                   cudaStream_t stream);

// Rotates the rotary part of the queries: q [tokens, heads, 192] -> q_rope [tokens, heads, 64].
struct RopeQueryParams {
  const __nv_bfloat16* q = nullptr;
  const float2* cos_sin = nullptr;  // [positions, 32]
  const int* position = nullptr;    // [tokens]
  int tokens = 0;
  int heads = 0;
  __nv_bfloat16* q_rope = nullptr;
};
cudaError_t launch_rope_query(const RopeQueryParams& params, LaunchOrder order,
                              cudaStream_t stream);

}  // namespace hadal::kernels::norm
