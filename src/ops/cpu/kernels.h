// What differs between instruction paths: one table of plain functions a path. The sources that
// fill the tables are compiled with their path's flags, so they include plain-data headers and
// intrinsics only: an inline function of a common header, compiled with AVX-512, could otherwise
// be the copy the linker keeps for everyone.
//
// All matrices are row-major f32 unless a line says otherwise. Every function computes each output
// row from that row's inputs alone, with the same operations in the same order whatever the number
// of rows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hadal::ops {

inline constexpr int kTileOutputs = 16;
inline constexpr int kTileInputs = 32;
inline constexpr int kBlockInputs = 128;  // inputs a partial sum covers
inline constexpr int kBlockTiles = kBlockInputs / kTileInputs;
inline constexpr int kGemmRows = 64;       // rows a gemm call handles at once, at most
inline constexpr int kAttendQueries = 16;  // queries an attend call handles at once, at most
inline constexpr int kAttendPage = 64;     // cache entries a page

enum class TileFormat : uint8_t { kBf16, kE4m3, kE2m1 };

// The packed weights (packed_matrix.h).
struct MatrixView {
  TileFormat format = TileFormat::kBf16;
  int64_t outputs = 0;
  int64_t inputs = 0;
  int64_t tile_rows = 0;  // ceil(outputs / 16)
  int64_t tile_cols = 0;  // ceil(inputs / 32)
  int64_t tile_bytes = 0;
  int64_t blocks = 0;               // ceil(inputs / 128)
  const uint8_t* tiles = nullptr;   // 64-byte aligned
  const uint8_t* groups = nullptr;  // e2m1 only
  const float* scales = nullptr;    // [tile_rows, blocks]
};

// out[r, n - 16 tile_begin] = sum over k of x[row(r), k] * W[n, k], for the outputs n of tile rows
// [tile_begin, tile_end); row(r) = row_index ? row_index[r] : r.
struct GemmArgs {
  const MatrixView* weight = nullptr;
  const float* x = nullptr;
  int64_t x_stride = 0;
  const int32_t* row_index = nullptr;
  int rows = 0;  // at most kGemmRows
  float* out = nullptr;
  int64_t out_stride = 0;
  int64_t tile_begin = 0;
  int64_t tile_end = 0;
  void* scratch = nullptr;  // gemm_scratch_bytes(inputs), 64-byte aligned, of this thread
};

// Attention of up to kAttendQueries queries of one sequence over its cache positions [begin, end),
// the part of each query's entries [0, position] that lies in this split.
struct AttendArgs {
  const float* q = nullptr;  // [queries, kv_dim] absorbed query, rotated part, softmax scale in it
  const int32_t* positions = nullptr;  // [queries]
  int queries = 0;
  int64_t begin = 0;                  // a multiple of kAttendPage
  int64_t end = 0;                    // at most the largest position + 1
  const void* pages = nullptr;        // of this layer, bf16 [kAttendPage, kv_dim] each
  int64_t page_stride = 0;            // bytes between pages
  const int32_t* page_row = nullptr;  // the sequence's page table
  int latent = 0;                     // kv_lora_rank; a multiple of 16
  int kv_dim = 0;                     // a multiple of 16
  // Partial result: running maximum, sum of exponentials, and their weighted sum of latents. A
  // query without entries in the split has maximum -inf and zeros.
  float* maximum = nullptr;  // [queries]
  float* sum = nullptr;      // [queries]
  float* out = nullptr;      // [queries, latent]
  void* scratch = nullptr;   // attend_scratch_bytes(kv_dim), 64-byte aligned
};

struct KernelTable {
  int64_t (*gemm_scratch_bytes)(int64_t inputs);
  void (*gemm)(const GemmArgs& args);
  // The same in fp32 without rounding the inputs, on every path: the router's logits.
  void (*gemm_f32)(const GemmArgs& args);

  int64_t (*attend_scratch_bytes)(int kv_dim);
  void (*attend)(const AttendArgs& args);
  // (maximum, sum, out) <- merged with a later split's, by the usual rescaling.
  void (*merge_split)(float* maximum, float* sum, float* out, float later_maximum, float later_sum,
                      const float* later_out, int n);

  void (*rms_norm)(float* out, const float* x, const float* weight, int64_t n, float eps);
  // residual += delta; out = rms_norm(residual).
  void (*add_rms_norm)(float* out, float* residual, const float* delta, const float* weight,
                       int64_t n, float eps);
  void (*silu_mul)(float* out, const float* gate, const float* up, int64_t n);
  void (*sigmoid)(float* out, const float* x, int64_t n);
  void (*add_scaled)(float* out, const float* x, float factor, int64_t n);  // out += factor * x
  void (*to_bf16)(uint16_t* out, const float* x, int64_t n);
  void (*from_bf16)(float* out, const uint16_t* x, int64_t n);
};

const KernelTable& portable_kernels();
#if defined(HADAL_CPU_X86)
const KernelTable& avx2_kernels();
const KernelTable& avx512_kernels();
const KernelTable& amx_kernels();
#endif

}  // namespace hadal::ops
