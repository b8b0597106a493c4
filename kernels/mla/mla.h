// Absorbed MLA attention over the paged KV cache (DeepSeek-V3 "absorb" form), for few query tokens
// a row: decode, verification of drafts, and prompts cut into rows of at most 8 tokens.
//
//   plan      rows' lengths -> which part of the grid reads which pages; once a step for all layers
//   decode    out = softmax(scale * (q_abs . latent + q_pe . k_pe)) latent, or partial sums of it
//   combine   partial sums of rows that several parts share -> out
//
// Query token at position p sees the entries [0, p] of its slot. All heads share one key of 576 and
// one value of 512 (the key's latent), so the heads of a row's tokens are simply more columns of
// one matrix product: column c of a row is head c % heads of its token c / heads, and a *tile* is
// up to 64 consecutive columns.
//
// Every launcher is safe in a CUDA graph: grids depend on the batch bucket only, lengths come from
// device memory. `generic` runs on every architecture, `sm90` on Hopper; same inputs, same
// contract.
//
// Invariants: (M1) same input, same bits. (M2) with split_pages > 0 a token's bits depend on its
// own query and cache entries only: not on other rows, on the row's other tokens, or on the grid.
// (M3) entries past a token's position never influence it, NaN included.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/common/kv_layout.h"
#include "kernels/common/launch.h"

namespace hadal::kernels::mla {

inline constexpr int kRowsMax = 1024;
inline constexpr int kPartsMax = 1000;
inline constexpr int kQueriesMax = 8;   // tokens of one row
inline constexpr int kColumnsMax = 64;  // of one tile

// The rows of one launch; the same arrays as ops::TokenBatch.
struct Rows {
  const int* row_starts =
      nullptr;                     // [rows + 1]: row r owns tokens [row_starts[r], row_starts[r+1])
  const int* positions = nullptr;  // [tokens] absolute, consecutive within a row
  const int* slots = nullptr;      // [tokens] page-table row; negative: the token's row is inert
  int rows = 0;
};

// Columns of a tile for the largest row of a launch, and how many tiles such a row has.
constexpr int tile_columns(int heads, int queries_max) {
  const int columns = round_up(heads * queries_max, 16);
  return columns < kColumnsMax ? columns : kColumnsMax;
}
constexpr int tiles(int heads, int queries_max) {
  return ceil_div(heads * queries_max, tile_columns(heads, queries_max));
}

// Pages [page_begin, page_end) of one row, read by one part, with all that a reader needs to know
// of the row.
struct alignas(16) Segment {
  int token_begin;
  int token_count;
  int slot;
  int entries;  // that the last token sees: its position + 1; 0 for an inert row
  int page_begin;
  int page_end;
  int partial;  // index of its partial sums; negative: the segment is the whole row
  int reserved;
};
struct alignas(16) SplitRow {
  int token_begin;
  int token_count;
  int partial_begin;  // its partials are consecutive, in the order of pages
  int partial_count;
};

// What `plan` makes, for all layers of a step.
struct Plan {
  int* part_starts = nullptr;      // [parts + 1]: part i owns segments [part_starts[i], ..[i + 1])
  Segment* segments = nullptr;     // [segments_max]
  SplitRow* split_rows = nullptr;  // [rows]
  int* split_count = nullptr;      // [1]: entries of split_rows
};

struct PlanParams {
  Rows rows;
  Plan plan;
  int parts = 0;
  int split_pages = 0;  // 0: cut where it balances; s > 0: cut every row at multiples of s pages
};
cudaError_t launch_plan(const PlanParams& params, LaunchOrder order, cudaStream_t stream);

// Capacity of Plan::segments, and the number of partials to make room for.
constexpr int segments_max(int rows, int parts, int split_pages, int pages_per_slot) {
  return split_pages == 0 ? rows + parts : rows * ceil_div(pages_per_slot, split_pages);
}

// Sums of one segment before the division by the softmax's denominator.
struct Partials {
  float* out = nullptr;     // [segments_max, tiles, tile_columns, 512]
  float2* stats = nullptr;  // [segments_max, tiles, tile_columns]: x = log2 of the largest weight,
                            // which `out` and y, the sum of the weights, are relative to
};

struct DecodeParams {
  Plan plan;
  int rows = 0;                             // of the plan; 0: nothing to do
  int parts = 0;                            // of the plan
  const __nv_bfloat16* q_latent = nullptr;  // [tokens, heads, 512]: absorbed
  const __nv_bfloat16* q_rope = nullptr;    // [tokens, heads, 64]: rotated
  const std::uint8_t* pages = nullptr;      // [pages, kv_page_bytes]: one layer's (kv_layout.h)
  const int* page_table = nullptr;          // [slots, pages_per_slot]
  int pages_per_slot = 0;
  int heads = 0;
  int queries_max = 0;  // most tokens of a row, 1..kQueriesMax
  float softmax_scale = 0.0f;
  KvFormat format = KvFormat::kFp8;
  Partials partials;
  __nv_bfloat16* out = nullptr;  // [tokens, heads, 512]; zero for inert rows
};
// kOverlapped fetches pages before the predecessor has ended. REQUIRES then: at least one kernel
// stands between this launch and those that write the plan, the page table and the cache entries.
cudaError_t launch_decode_generic(const DecodeParams& params, cudaStream_t stream);
cudaError_t launch_decode_sm90(const DecodeParams& params, LaunchOrder order, cudaStream_t stream);
// Needed after every decode; does nothing where no row is split.
cudaError_t launch_combine(const DecodeParams& params, int multiprocessors, LaunchOrder order,
                           cudaStream_t stream);

// The number of parts that fills `multiprocessors` with the sm90 kernel's blocks once.
int decode_parts(KvFormat format, int heads, int queries_max, int multiprocessors);

// Whether the launchers accept the shape; the reason they refuse it is cudaErrorInvalidValue.
constexpr bool legal(const DecodeParams& p) {
  return p.heads >= 1 && p.heads <= 128 && p.queries_max >= 1 && p.queries_max <= kQueriesMax &&
         p.rows >= 0 && p.rows <= kRowsMax && p.parts >= 1 && p.parts <= kPartsMax;
}

}  // namespace hadal::kernels::mla
