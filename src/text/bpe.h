// Byte-pair encoding of one piece: from the tokens of its bytes, apply the merge of lowest rank,
// leftmost first, until none applies.
//
// Short pieces (nearly all) scan for the lowest rank after every merge. Long ones keep the possible
// merges in a queue, so that a piece of n bytes costs O(n log n) at worst. Both give the same
// tokens.
//
// Threads: immutable once built.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"
#include "text/merge_table.h"
#include "text/tokenizer_json.h"

namespace hadal {

class Bpe {
 public:
  static constexpr size_t kShortPieceBytesMax = 48;

  // kBadFile: the vocabulary lacks a byte, or a merge names an unknown token, repeats another or
  // gives an added token (invariant 1 of tokenizer.h).
  static Result<Bpe> build(const TokenizerSpec& spec);

  // Appends the tokens of `piece`. REQUIRES: !piece.empty().
  void encode(std::string_view piece, std::vector<TokenId>& out) const;

 private:
  explicit Bpe(size_t merges) : merges_(merges) {}

  void encode_short(std::string_view piece, std::vector<TokenId>& out) const;
  void encode_long(std::string_view piece, std::vector<TokenId>& out) const;
  TokenId byte_id(char byte) const { return byte_ids_[static_cast<uint8_t>(byte)]; }

  std::array<TokenId, 256> byte_ids_{};
  MergeTable merges_;
  std::vector<TokenId> results_;  // by rank
  // Bytes of a token → its id; filled only where the file says ignore_merges.
  std::unordered_map<std::string, TokenId> whole_pieces_;
};

}  // namespace hadal
