// Decoding of tiles to fp32, value by value. Block and global scales are applied to sums, not here.
#pragma once

#include "ops/cpu/kernels.h"
#include "ops/cpu/numeric_formats.h"

namespace hadal::ops {
namespace {

// One tile -> out[k][n]: kTileInputs rows of kTileOutputs values.
struct DecodeScalar {
  static void tile(const MatrixView& w, int64_t tile_index, float* out) {
    const uint8_t* const bytes = w.tiles + tile_index * w.tile_bytes;
    for (int k = 0; k < kTileInputs; ++k) {
      for (int n = 0; n < kTileOutputs; ++n) {
        out[k * kTileOutputs + n] = value(w, bytes, tile_index, n, k);
      }
    }
  }

 private:
  static float value(const MatrixView& w, const uint8_t* bytes, int64_t tile_index, int n, int k) {
    if (w.format == TileFormat::kBf16) {
      const int at = 2 * (k / 2 * 32 + n * 2 + k % 2);
      return bf16_to_f32(static_cast<uint16_t>(bytes[at] | bytes[at + 1] << 8));
    }
    if (w.format == TileFormat::kE4m3) {
      return e4m3_to_f32(bytes[k / 4 * 64 + n / 4 * 16 + k / 2 % 2 * 8 + n % 4 * 2 + k % 2]);
    }
    const uint8_t pair = bytes[(k / 8 * 16 + n) * 4 + k % 8 / 2];
    const uint8_t code = k % 2 == 0 ? pair & 15 : pair >> 4;
    return kE2m1Values[code] * e4m3_to_f32(w.groups[(tile_index * 2 + k / 16) * kTileOutputs + n]);
  }
};

}  // namespace
}  // namespace hadal::ops
