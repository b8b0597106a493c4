// (left token, right token) → rank of the merge that joins them: the one hot look-up of BPE.
//
// Open addressing; one 64-bit word a slot (two 20-bit ids and a 24-bit rank), so a look-up is
// mostly one cache line. R1's 127,741 merges take 2 MiB.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "hadal/base/check.h"
#include "hadal/base/ids.h"
#include "hadal/text/tokenizer.h"

namespace hadal {

inline constexpr uint32_t kNoMerge = UINT32_MAX;

class MergeTable {
 public:
  explicit MergeTable(size_t merges)
      : slots_(std::bit_ceil(2 * merges + 1), kEmpty), mask_(slots_.size() - 1) {
    HADAL_CHECK(merges < kRankMask, "{} merges do not fit the slot", merges);
  }

  // False if the pair is already there. REQUIRES: room for it (see the constructor).
  bool insert(TokenId left, TokenId right, uint32_t rank) {
    const uint64_t pair = pair_of(left, right);
    size_t i = start(pair);
    for (; slots_[i] != kEmpty; i = (i + 1) & mask_) {
      if (slots_[i] >> kRankBits == pair) return false;
    }
    slots_[i] = pair << kRankBits | rank;
    return true;
  }

  uint32_t find(TokenId left, TokenId right) const {
    const uint64_t pair = pair_of(left, right);
    for (size_t i = start(pair); slots_[i] != kEmpty; i = (i + 1) & mask_) {
      if (slots_[i] >> kRankBits == pair) return static_cast<uint32_t>(slots_[i] & kRankMask);
    }
    return kNoMerge;
  }

 private:
  static constexpr int kIdBits = 20;
  static constexpr int kRankBits = 24;
  static constexpr uint64_t kRankMask = (uint64_t{1} << kRankBits) - 1;
  static constexpr uint64_t kEmpty = UINT64_MAX;  // no slot: its rank would be kRankMask
  static_assert(TokenizerLimits::kTokensMax <= size_t{1} << kIdBits, "an id must fit 20 bits");

  static uint64_t pair_of(TokenId left, TokenId right) {
    return static_cast<uint64_t>(left) << kIdBits | static_cast<uint64_t>(right);
  }
  size_t start(uint64_t pair) const {
    constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio: spreads to high bits
    return static_cast<size_t>(pair * kGolden >> 32) & mask_;
  }

  std::vector<uint64_t> slots_;
  size_t mask_;
};

}  // namespace hadal
