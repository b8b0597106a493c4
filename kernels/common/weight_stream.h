// Host side of weight_stream.cuh: parameters and shared memory of a kernel that streams FP8 weights
// past a few activation rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/fp8_layout.h"

namespace hadal::kernels {

inline constexpr int kRowTileMax = 128;  // activation rows of one unit

// Activations quantised in groups of 128 along K. Each kernel says whether it reads them as rows
// ([rows, k], contiguous: a kernel that gathers rows) or in tiles (tiled_offset() with scale_stride
// as the capacity: a kernel that reads neighbouring rows).
struct Fp8Rows {
  const std::uint8_t* data = nullptr;  // e4m3
  const float* scale = nullptr;        // [k / 128, scale_stride]: one factor a row and group
  int scale_stride = 0;                // rows: >= rows. tiles: a multiple of 8, >= rows
};

struct StreamParams {
  Fp8Rows x;
  int k = 0;
  int row_tile = 0;      // most rows of one unit: 8, 16, 32, 64 or 128; sizes the pipeline slots
  int depth = 0;         // pipeline slots; set by the launcher
  int split_stages = 0;  // see work_range.cuh
  float* partials = nullptr;    // scratch for units with several segments
  unsigned* tickets = nullptr;  // [units], zero between launches; the kernel leaves them zero
};

// Shared memory of one pipeline slot and around the pipeline, for a stage of `slices` weight slices
// over `k_blocks` blocks of 128 along K.
struct StreamShared {
  int slices = 0;
  int k_blocks = 0;
  int row_tile = 0;
  int scratch_bytes = 0;

  HADAL_HOST_DEVICE constexpr int weight_bytes() const { return slices * kSliceBytes; }
  HADAL_HOST_DEVICE constexpr int tile_bytes() const {
    return weight_bytes() + k_blocks * row_tile * kQuantBlock;
  }
  HADAL_HOST_DEVICE constexpr int scale_floats() const {
    return round_up(k_blocks * row_tile + slices, 4);  // bulk copies want 16 bytes
  }
  HADAL_HOST_DEVICE constexpr int slot_bytes() const {
    return tile_bytes() + scale_floats() * 4 + 2 * 8;  // two barriers
  }
};

inline constexpr int kSharedBytesMax = 227 * 1024;  // of a block alone on a multiprocessor
inline constexpr int kSharedAlignment = 1024;
inline constexpr int kSharedReserveBytes = kSharedAlignment + 64;  // alignment slack; ticket cell
inline constexpr int kDepthMin = 4;  // where rows are gathered; 2 where they are fetched
inline constexpr int kDepthMax = 12;

// The deepest pipeline that fits in a multiprocessor's shared memory. One deep pipeline beats two
// shallow ones of neighbouring kernels (bench/results): what counts is bytes in flight at the
// start.
constexpr int stream_depth(const StreamShared& shared) {
  const int room = kSharedBytesMax - kSharedReserveBytes - shared.scratch_bytes;
  const int depth = room / shared.slot_bytes();
  return depth < kDepthMax ? depth : kDepthMax;
}
constexpr int stream_shared_bytes(const StreamShared& shared, int depth) {
  return kSharedReserveBytes + shared.scratch_bytes + depth * shared.slot_bytes();
}

}  // namespace hadal::kernels
