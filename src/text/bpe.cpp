#include "text/bpe.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "text/byte_symbols.h"
#include "text/merge_queue.h"

namespace hadal {
namespace {

using IdOfToken = std::unordered_map<std::string_view, TokenId>;

Error bad_model(std::string message) {
  return {ErrorCode::kBadFile, "tokenizer.json: " + std::move(message)};
}

std::optional<TokenId> find(const IdOfToken& ids, std::string_view token) {
  const auto found = ids.find(token);
  if (found == ids.end()) return std::nullopt;
  return found->second;
}

Result<TokenId> id_of_byte(size_t byte, const IdOfToken& ids,
                           const std::unordered_set<TokenId>& added) {
  std::string symbol;
  append_utf8(symbol, kSymbolOfByte[byte]);
  const std::optional<TokenId> id = find(ids, symbol);
  if (!id) {
    return bad_model(
        fmt::format("model.vocab lacks \"{}\", the symbol of byte 0x{:02X}", symbol, byte));
  }
  if (added.contains(*id)) {
    return bad_model(fmt::format("byte 0x{:02X} is an added token, wanted a plain one", byte));
  }
  return *id;
}

std::unordered_map<std::string, TokenId> whole_pieces_of(const TokenizerSpec& spec,
                                                         const std::unordered_set<TokenId>& added) {
  std::unordered_map<std::string, TokenId> pieces;
  for (const auto& [token, id] : spec.vocab) {
    std::optional<std::string> bytes = bytes_of_symbols(token);
    if (bytes && !added.contains(id)) pieces.emplace(std::move(*bytes), id);
  }
  return pieces;
}

// The remaining tokens of a long piece, as a list linked through indices: index i is the token
// that starts at byte i.
class TokenList {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  explicit TokenList(std::vector<TokenId> tokens)
      : tokens_(std::move(tokens)), next_(tokens_.size()), previous_(tokens_.size()) {
    for (uint32_t i = 0; i < next_.size(); ++i) {
      next_[i] = i + 1 < next_.size() ? i + 1 : kNone;
      previous_[i] = i == 0 ? kNone : i - 1;
    }
  }

  TokenId token(uint32_t i) const { return tokens_[i]; }
  uint32_t next(uint32_t i) const { return next_[i]; }
  uint32_t previous(uint32_t i) const { return previous_[i]; }

  // Replaces the token at i and the one after it by `merged`.
  void merge(uint32_t i, TokenId merged) {
    const uint32_t gone = next_[i];
    tokens_[i] = merged;
    next_[i] = next_[gone];
    if (next_[i] != kNone) previous_[next_[i]] = i;
  }

 private:
  std::vector<TokenId> tokens_;
  std::vector<uint32_t> next_;
  std::vector<uint32_t> previous_;
};

}  // namespace

Result<Bpe> Bpe::build(const TokenizerSpec& spec) {
  Bpe bpe(spec.merges.size());
  IdOfToken ids;
  ids.reserve(spec.vocab.size());
  for (const auto& [token, id] : spec.vocab) ids.emplace(token, id);
  std::unordered_set<TokenId> added;
  for (const AddedToken& token : spec.added_tokens) added.insert(token.id);

  for (size_t byte = 0; byte < 256; ++byte) {
    HADAL_ASSIGN_OR_RETURN(bpe.byte_ids_[byte], id_of_byte(byte, ids, added));
  }
  for (uint32_t rank = 0; rank < spec.merges.size(); ++rank) {
    const auto& [left, right] = spec.merges[rank];
    const auto refuse = [&](std::string_view why) {
      return bad_model(
          fmt::format("model.merges[{}] joins \"{}\" and \"{}\", {}", rank, left, right, why));
    };
    const std::optional<TokenId> left_id = find(ids, left);
    const std::optional<TokenId> right_id = find(ids, right);
    const std::optional<TokenId> result = find(ids, left + right);
    if (!left_id || !right_id) return refuse("of which one is not in model.vocab");
    if (!result) return refuse("which gives a token that is not in model.vocab");
    if (added.contains(*result)) return refuse("which gives an added token");
    if (!bpe.merges_.insert(*left_id, *right_id, rank)) return refuse("as an earlier merge does");
    bpe.results_.push_back(*result);
  }
  if (spec.ignore_merges) bpe.whole_pieces_ = whole_pieces_of(spec, added);
  return bpe;
}

void Bpe::encode(std::string_view piece, std::vector<TokenId>& out) const {
  if (!whole_pieces_.empty()) {
    if (const auto whole = whole_pieces_.find(std::string(piece)); whole != whole_pieces_.end()) {
      out.push_back(whole->second);
      return;
    }
  }
  if (piece.size() <= kShortPieceBytesMax) {
    encode_short(piece, out);
  } else {
    encode_long(piece, out);
  }
}

void Bpe::encode_short(std::string_view piece, std::vector<TokenId>& out) const {
  std::array<TokenId, kShortPieceBytesMax> tokens;
  std::array<uint32_t, kShortPieceBytesMax> ranks;  // [i]: of the merge of tokens i and i + 1
  size_t count = piece.size();
  for (size_t i = 0; i < count; ++i) tokens[i] = byte_id(piece[i]);
  for (size_t i = 0; i + 1 < count; ++i) ranks[i] = merges_.find(tokens[i], tokens[i + 1]);

  while (count > 1) {
    const auto lowest = std::min_element(ranks.begin(), ranks.begin() + (count - 1));
    if (*lowest == kNoMerge) break;
    const auto i = static_cast<size_t>(lowest - ranks.begin());
    tokens[i] = results_[*lowest];
    std::copy(tokens.begin() + i + 2, tokens.begin() + count, tokens.begin() + i + 1);
    std::copy(ranks.begin() + i + 1, ranks.begin() + (count - 1), ranks.begin() + i);
    --count;
    if (i > 0) ranks[i - 1] = merges_.find(tokens[i - 1], tokens[i]);
    if (i + 1 < count) ranks[i] = merges_.find(tokens[i], tokens[i + 1]);
  }
  out.insert(out.end(), tokens.begin(), tokens.begin() + count);
}

void Bpe::encode_long(std::string_view piece, std::vector<TokenId>& out) const {
  std::vector<TokenId> tokens(piece.size());
  std::ranges::transform(piece, tokens.begin(), [this](char byte) { return byte_id(byte); });
  TokenList list(std::move(tokens));

  // An entry of the queue is stale once the pair at its index is no longer the one of its rank.
  MergeQueue queue;
  std::vector<uint32_t> rank_at(piece.size(), kNoMerge);
  const auto rate = [&](uint32_t i) {
    const uint32_t next = list.next(i);
    rank_at[i] =
        next == TokenList::kNone ? kNoMerge : merges_.find(list.token(i), list.token(next));
    if (rank_at[i] != kNoMerge) queue.push({rank_at[i], i});
  };
  for (uint32_t i = 0; i < piece.size(); ++i) rate(i);
  for (MergeQueue::Entry entry; queue.pop(entry);) {
    const uint32_t i = entry.index;
    if (rank_at[i] != entry.rank) continue;
    rank_at[list.next(i)] = kNoMerge;
    list.merge(i, results_[entry.rank]);
    rate(i);
    if (list.previous(i) != TokenList::kNone) rate(list.previous(i));
  }
  for (uint32_t i = 0; i != TokenList::kNone; i = list.next(i)) out.push_back(list.token(i));
}

}  // namespace hadal
