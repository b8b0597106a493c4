// Where the elements of FP8 operands lie. Plain arithmetic, shared by kernels, by the functions
// that prepare weights and by the tests.
//
// A *slice* is 64 rows x 128 of K, 8 KiB: the operand of four 64-row matrix instructions. Its bytes
// are the image that the tensor cores want in shared memory (rows of 128 bytes, 16-byte chunks
// exchanged within each group of 8 rows), so that one bulk copy of contiguous bytes brings it there
// and no tensor map is needed.
//
//   row r:  | chunk 0^(r%8) | chunk 1^(r%8) | ... | chunk 7^(r%8) |     chunk = 16 values of K
//
// A prepared weight [n, k] is [ceil(n / 64), k / 128, slice]: a tile of 64 rows is contiguous along
// K. Rows past n are zero.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#define HADAL_HOST_DEVICE __host__ __device__
#else
#define HADAL_HOST_DEVICE
#endif

namespace hadal::kernels {

inline constexpr int kQuantBlock = 128;  // K of one scale; also rows of one weight scale
inline constexpr int kSliceRows = 64;
inline constexpr int kSliceBytes = kSliceRows * kQuantBlock;

HADAL_HOST_DEVICE constexpr int ceil_div(int a, int b) {
  return (a + b - 1) / b;
}
HADAL_HOST_DEVICE constexpr int smaller(int a, int b) {
  return a < b ? a : b;
}
HADAL_HOST_DEVICE constexpr int round_up(int a, int b) {
  return ceil_div(a, b) * b;
}

// Byte of element (row, k) in rows of 128 bytes with the 128-byte swizzle. REQUIRES: k < 128.
HADAL_HOST_DEVICE constexpr int swizzled_offset(int row, int k) {
  return row * kQuantBlock + (((k / 16) ^ (row % 8)) * 16) + k % 16;
}

// Byte of element (row, k) of a prepared weight whose K is `k_size`.
HADAL_HOST_DEVICE constexpr std::size_t prepared_weight_offset(int row, int k, int k_size) {
  const std::size_t slice =
      static_cast<std::size_t>(row / kSliceRows) * (k_size / kQuantBlock) + k / kQuantBlock;
  return slice * kSliceBytes + swizzled_offset(row % kSliceRows, k % kQuantBlock);
}

// Byte of element (row, k) of activations in tiles: [k / 128, rows_capacity, 128], swizzled. Rows
// that start at a multiple of 8 are then contiguous within a K block, and one bulk copy fetches
// them. REQUIRES: rows_capacity is a multiple of 8.
HADAL_HOST_DEVICE constexpr std::size_t tiled_offset(int rows_capacity, int row, int k) {
  const std::size_t group = static_cast<std::size_t>(k / kQuantBlock) * rows_capacity + row / 8 * 8;
  return group * kQuantBlock + swizzled_offset(row % 8, k % kQuantBlock);
}

// Bytes of a prepared weight.
constexpr std::size_t prepared_weight_bytes(int n, int k) {
  return static_cast<std::size_t>(round_up(n, kSliceRows)) * static_cast<std::size_t>(k);
}

}  // namespace hadal::kernels
