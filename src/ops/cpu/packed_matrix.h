// A linear weight re-ordered into tiles of 16 outputs x 32 inputs, in its checkpoint format. Every
// instruction path reads this one layout.
//
// Tiles are ordered by output, then input: tile (i, j) covers outputs [16 i, 16 i + 16) and inputs
// [32 j, 32 j + 32). What lies outside the matrix is zero. Within a tile, with n the output and k
// the input inside it, pairs of inputs lie side by side, as bf16 dot-product instructions want:
//   bf16   1024 B: value (k / 2) * 32 + n * 2 + k % 2
//   e4m3    512 B: byte  (k / 4) * 64 + (n / 4) * 16 + (k / 2 % 2) * 8 + (n % 4) * 2 + k % 2, so
//                  that unpacking the halves of each 16-byte lane of 64 decoded bytes gives two
//                  rows of the bf16 order
//   e2m1    256 B: nibble k % 8 of the little-endian 32-bit word (k / 8) * 16 + n; its e4m3 group
//                  scales, 32 B a tile in `groups`: byte (k / 16) * 16 + n
// Sums run over blocks of 128 inputs; each (tile row, block) has one fp32 factor, `scales`: the
// block scale of FP8, the global scale of NVFP4, 1 for bf16.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "hadal/base/status.h"
#include "hadal/checkpoint/weight_view.h"
#include "hadal/ops/weights.h"
#include "ops/cpu/kernels.h"

namespace hadal::ops {

class PackedMatrix : public Weight {
 public:
  // Stacks `parts` by outputs. Refuses parts of different formats or widths, a part but the last
  // whose outputs are no multiple of 16, NaN codes and non-finite scales.
  static Result<PackedMatrix> pack(std::span<const LinearView> parts);
  // From fp32 values [out_features, in_features], each rounded to bf16.
  static PackedMatrix pack_bf16(const float* values, int64_t out_features, int64_t in_features);

  const MatrixView& view() const { return view_; }
  int64_t bytes() const override;

 private:
  PackedMatrix(WeightFormat format, int64_t out_features, int64_t in_features);
  Status pack_part(const LinearView& part, int64_t first_output);
  Status pack_fp8_scales(const LinearView& part, int64_t first_output);
  Status pack_nvfp4_scales(const LinearView& part, int64_t first_output);

  struct AlignedFree {
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte[], AlignedFree> tiles_;
  int64_t tiles_bytes_ = 0;
  std::vector<uint8_t> groups_;
  std::vector<float> scales_;
  MatrixView view_;
};

// Row `row` of a checkpoint's matrix as fp32: what its format says the values are.
void decode_row(const LinearView& view, int64_t row, float* out);

}  // namespace hadal::ops
