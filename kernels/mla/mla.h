// MLA decode: attention of a few query tokens a sequence over the paged latent cache, in the
// absorbed form: every head attends with one 576-wide query over the same 576-wide rows, and the
// values are the rows' first 512 elements.
//
//   out[r, :] = sum_t softmax_t( scale * (q_latent[r] . latent[t] + q_rope[r] . key[t]) ) *
//   latent[t]
//
// Row r of a sequence is (query token j, head h), j * heads + h. The query tokens are the last ones
// of the context: token j sees the context up to and including itself.
//
// plan, once a step (all layers share it), turns context lengths into each block's share of the
// pages, on the device: nothing here reads lengths on the host, so a captured graph serves any
// lengths.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/common/kv_layout.h"
#include "kernels/common/launch.h"

namespace hadal::kernels::mla {

inline constexpr int kSequencesMax = 1024;
inline constexpr int kQueryTokensMax = 8;
inline constexpr int kRowsMax = 1024;  // query tokens * heads

struct PlanParams {
  const int* context = nullptr;  // [sequences]: tokens, the query tokens included; 0: inactive
  int sequences = 0;
  int split_pages = 0;           // see Params
  int* grains_before = nullptr;  // out, [sequences + 1]: pages (or fixed splits) before sequence i
};
cudaError_t launch_plan(const PlanParams& params, LaunchOrder order, cudaStream_t stream);

struct Params {
  const __nv_bfloat16* q_latent = nullptr;  // [sequences, rows, 512]
  const __nv_bfloat16* q_rope = nullptr;    // [sequences, rows, 64], rotated
  const std::uint8_t* cache = nullptr;      // [pages, kv_page_bytes(format)], kv_layout.h
  KvFormat format = KvFormat::kFp8;
  const int* page_table = nullptr;  // [sequences, page_table_stride]
  int page_table_stride = 0;
  const int* context = nullptr;        // [sequences], as given to plan
  const int* grains_before = nullptr;  // [sequences + 1], from plan
  int sequences = 0;
  int query_tokens = 0;  // 1..kQueryTokensMax
  int heads = 0;
  float scale = 0;
  // 0: blocks get equal shares of all pages; the cuts, and so the rounding, depend on the batch.
  // p > 0: every sequence is cut at the multiples of p pages; a row does not depend on the batch.
  int split_pages = 0;
  int blocks = 0;                   // multiprocessors
  float* partial_out = nullptr;     // [slots, row_tile, 512]
  float2* partial_stats = nullptr;  // [slots, row_tile]: largest logit (base 2), sum
  __nv_bfloat16* out = nullptr;     // [sequences, rows, 512]; inactive sequences are not written

  HADAL_HOST_DEVICE constexpr int rows() const { return query_tokens * heads; }
};

// Rows that one block works on at a time. Beside 64 rows there is no room for two bf16 pages.
HADAL_HOST_DEVICE constexpr int row_tile_for(int rows, KvFormat format) {
  return rows <= 16 ? 16 : rows <= 32 || format == KvFormat::kBf16 ? 32 : 64;
}
// Blocks of one multiprocessor: two where two pages, twice, fit beside the queries.
HADAL_HOST_DEVICE constexpr int blocks_per_sm(int row_tile, KvFormat format) {
  return row_tile == 16 && format == KvFormat::kFp8 ? 2 : 1;
}
// Partial results that a launch may need room for.
constexpr std::size_t slots_max(int sequences, int rows, KvFormat format, int split_pages,
                                int context_max, int blocks) {
  if (split_pages == 0) {
    return 2 * static_cast<std::size_t>(blocks * blocks_per_sm(row_tile_for(rows, format), format));
  }
  const int pages = ceil_div(context_max, kPageTokens);
  return static_cast<std::size_t>(sequences) *
         static_cast<std::size_t>(ceil_div(rows, row_tile_for(rows, format))) *
         static_cast<std::size_t>(ceil_div(pages, split_pages));
}

// Two kernels: attention over each block's pages, then the sum of the sequences that were cut.
cudaError_t launch_sm90(const Params& params, LaunchOrder order, cudaStream_t stream);
cudaError_t launch_generic(const Params& params, cudaStream_t stream);

}  // namespace hadal::kernels::mla
