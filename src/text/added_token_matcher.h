// Finds added tokens in raw text: the leftmost one, the longest of those that start there.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "hadal/base/ids.h"

namespace hadal {

// A trie over bytes. Cost: one table look-up per byte that begins no token; from one that does, at
// most the longest token's length.
class AddedTokenMatcher {
 public:
  struct Match {
    size_t begin = 0;
    size_t end = 0;
    TokenId id = kNoToken;
  };

  // REQUIRES: !content.empty().
  void add(std::string_view content, TokenId id);

  // The first match that starts at or after `from`.
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  struct Node {
    TokenId id = kNoToken;  // of the token that ends here
    std::vector<std::pair<char, uint32_t>> children;
  };
  static constexpr uint32_t kNoNode = 0;

  uint32_t child(uint32_t node, char byte) const;
  uint32_t add_child(uint32_t node, char byte);

  std::vector<Node> nodes_ = std::vector<Node>(1);  // [0] is the root, and nobody's child
  std::array<uint32_t, 256> first_{};               // the root's children, by byte
};

}  // namespace hadal
