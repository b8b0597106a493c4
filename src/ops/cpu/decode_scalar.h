// Decoding of tiles to fp32, value by value. Block and global scales are applied to sums, not here.
#pragma once

#include "ops/cpu/kernels.h"
#include "ops/cpu/numeric_formats.h"

namespace hadal::ops {
namespace {

struct E4m3Values {
  float of[256];
};

constexpr E4m3Values make_e4m3_values() {
  E4m3Values values{};
  for (int code = 0; code < 256; ++code) values.of[code] = e4m3_to_f32(static_cast<uint8_t>(code));
  return values;
}

constexpr E4m3Values kE4m3Values = make_e4m3_values();

// One tile -> out[k][n]: kTileInputs rows of kTileOutputs values. The loops follow the order of the
// bytes (packed_matrix.h).
struct DecodeScalar {
  static void tile(const MatrixView& w, int64_t tile_index, float* out) {
    const uint8_t* const bytes = w.tiles + tile_index * w.tile_bytes;
    switch (w.format) {
      case TileFormat::kBf16:
        return bf16(bytes, out);
      case TileFormat::kE4m3:
        return e4m3(bytes, out);
      case TileFormat::kE2m1:
        return e2m1(bytes, w.groups + tile_index * 2 * kTileOutputs, out);
    }
  }

 private:
  static void bf16(const uint8_t* bytes, float* out) {
    for (int k = 0; k < kTileInputs; k += 2) {
      for (int n = 0; n < kTileOutputs; ++n, bytes += 4) {
        out[k * kTileOutputs + n] = bf16_to_f32(static_cast<uint16_t>(bytes[0] | bytes[1] << 8));
        out[(k + 1) * kTileOutputs + n] =
            bf16_to_f32(static_cast<uint16_t>(bytes[2] | bytes[3] << 8));
      }
    }
  }

  static void e4m3(const uint8_t* bytes, float* out) {
    for (int k = 0; k < kTileInputs; k += 4) {
      for (int n = 0; n < kTileOutputs; n += 4) {
        for (int pair = k; pair < k + 4; pair += 2) {
          for (int j = n; j < n + 4; ++j, bytes += 2) {
            out[pair * kTileOutputs + j] = kE4m3Values.of[bytes[0]];
            out[(pair + 1) * kTileOutputs + j] = kE4m3Values.of[bytes[1]];
          }
        }
      }
    }
  }

  static void e2m1(const uint8_t* bytes, const uint8_t* groups, float* out) {
    for (int k = 0; k < kTileInputs; k += 8) {
      for (int n = 0; n < kTileOutputs; ++n) {
        const float scale = kE4m3Values.of[groups[k / 16 * kTileOutputs + n]];
        for (int j = 0; j < 8; j += 2, ++bytes) {
          out[(k + j) * kTileOutputs + n] = kE2m1Values[*bytes & 15] * scale;
          out[(k + j + 1) * kTileOutputs + n] = kE2m1Values[*bytes >> 4] * scale;
        }
      }
    }
  }
};

}  // namespace
}  // namespace hadal::ops
