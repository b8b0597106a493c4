// Where the elements of the MLA cache lie. One token of one layer holds the latent (kv_lora_rank
// 512) and the rotated key (64). A page is 64 tokens, contiguous: one bulk copy fetches it.
//
//   fp8   656 B:  512 e4m3 latent | fp32 scale | 12 B unused | 64 bf16 rotated key
//   bf16 1152 B:  512 latent | 64 rotated key, 16-byte chunks exchanged within groups of 8
//
// Rows of an odd number of 16-byte chunks (656 / 16 = 41) fall into different banks of shared
// memory by themselves; rows of 72 chunks do not, hence the exchange.
#pragma once

#include <cstddef>

#include "kernels/common/fp8_layout.h"

namespace hadal::kernels {

inline constexpr int kPageTokens = 64;
inline constexpr int kLatent = 512;
inline constexpr int kRope = 64;
inline constexpr int kLatentRope = kLatent + kRope;

enum class KvFormat { kFp8, kBf16 };

HADAL_HOST_DEVICE constexpr int kv_token_bytes(KvFormat format) {
  return format == KvFormat::kFp8 ? 656 : 2 * kLatentRope;
}
HADAL_HOST_DEVICE constexpr int kv_page_bytes(KvFormat format) {
  return kPageTokens * kv_token_bytes(format);
}
inline constexpr int kFp8ScaleOffset = kLatent;
inline constexpr int kFp8RopeOffset = kLatent + 16;

// Byte of element `i` (latent, then rotated key) of a bf16 row that is row `row` of its page.
HADAL_HOST_DEVICE constexpr int bf16_row_offset(int row, int i) {
  return ((i / 8) ^ (row % 8)) * 16 + i % 8 * 2;
}

}  // namespace hadal::kernels
