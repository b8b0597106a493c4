#include "text/added_token_matcher.h"

#include "hadal/base/check.h"

namespace hadal {

uint32_t AddedTokenMatcher::child(uint32_t node, char byte) const {
  for (const auto& [edge, target] : nodes_[node].children) {
    if (edge == byte) return target;
  }
  return kNoNode;
}

uint32_t AddedTokenMatcher::add_child(uint32_t node, char byte) {
  if (const uint32_t known = child(node, byte); known != kNoNode) return known;
  const auto added = static_cast<uint32_t>(nodes_.size());
  nodes_.emplace_back();
  nodes_[node].children.emplace_back(byte, added);
  if (node == 0) first_[static_cast<uint8_t>(byte)] = added;
  return added;
}

void AddedTokenMatcher::add(std::string_view content, TokenId id) {
  HADAL_CHECK(!content.empty(), "an empty added token would match everywhere");
  uint32_t node = 0;
  for (const char byte : content) node = add_child(node, byte);
  nodes_[node].id = id;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text,
                                                                size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    Match longest;
    uint32_t node = first_[static_cast<uint8_t>(text[begin])];
    for (size_t end = begin + 1; node != kNoNode; ++end) {
      if (nodes_[node].id != kNoToken) longest = {begin, end, nodes_[node].id};
      node = end < text.size() ? child(node, text[end]) : kNoNode;
    }
    if (longest.id != kNoToken) return longest;
  }
  return std::nullopt;
}

}  // namespace hadal
