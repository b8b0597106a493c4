// The identity of a full KV page's content: what was computed before it, its 64 tokens, and the
// token after them, because layer 61 (MTP) combines each position with its next token, so the last
// slot of a page depends on the first token of the next one.
//
//   key(page i) = SHA-256(key(page i - 1) ‖ tokens[64 i, 64 i + 64) ‖ tokens[64 i + 64])
//   key(page -1) = SHA-256(salt)
//
// Equal keys mean equal content: SHA-256 is collision-resistant, also against a client that chooses
// its tokens, so nothing else is compared. A salt separates clients that must not see each other's
// cache (not even by timing).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/core/limits.h"

namespace hadal {

struct PageKey {
  std::array<uint8_t, 32> digest{};
  bool operator==(const PageKey&) const = default;
};

PageKey root_key(std::string_view salt);
PageKey page_key(const PageKey& parent, std::span<const TokenId, kPageTokens> tokens, TokenId next);

// The keys of one growing sequence: a chain, extended as its tokens become known.
class PageKeyChain {
 public:
  explicit PageKeyChain(std::string_view salt) : root_(root_key(salt)) {}

  // Adds the key of every page whose 64 tokens and next token are among `tokens`, the sequence from
  // its start. REQUIRES: `tokens` begins with what the chain was extended with before.
  void extend(std::span<const TokenId> tokens);

  std::span<const PageKey> keys() const { return keys_; }  // of pages 0, 1 …
  void reserve(size_t pages) { keys_.reserve(pages); }

 private:
  PageKey root_;
  std::vector<PageKey> keys_;
};

}  // namespace hadal
