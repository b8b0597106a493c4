#include "text/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "text/tokenizer_files.h"

namespace hadal {
namespace {

// The definition: lowest rank first, leftmost first, one merge at a time, on strings.
class NaiveBpe {
 public:
  explicit NaiveBpe(const TokenizerSpec& spec) {
    for (const auto& [token, id] : spec.vocab) ids_[token] = id;
    for (size_t rank = 0; rank < spec.merges.size(); ++rank) ranks_[spec.merges[rank]] = rank;
  }

  std::vector<TokenId> encode(std::string_view piece) const {
    std::vector<std::string> tokens;
    for (const char byte : piece) {
      append_utf8(tokens.emplace_back(), kSymbolOfByte[static_cast<uint8_t>(byte)]);
    }
    for (;;) {
      size_t best = tokens.size();
      size_t best_rank = SIZE_MAX;
      for (size_t i = 0; i + 1 < tokens.size(); ++i) {
        const auto found = ranks_.find({tokens[i], tokens[i + 1]});
        if (found == ranks_.end() || found->second >= best_rank) continue;
        best = i;
        best_rank = found->second;
      }
      if (best == tokens.size()) break;
      tokens[best] += tokens[best + 1];
      tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    std::vector<TokenId> ids;
    for (const std::string& token : tokens) ids.push_back(ids_.at(token));
    return ids;
  }

 private:
  std::map<std::string, TokenId> ids_;
  std::map<std::pair<std::string, std::string>, size_t> ranks_;
};

// Merges over few letters, in random order, so that ranks fall as well as rise while merging.
TokenizerSpec random_spec(std::mt19937& random) {
  nlohmann::json root = test::bytes_only_json();
  std::vector<std::string> tokens = {"a", "b", "c"};
  std::vector<std::pair<std::string, std::string>> merges;
  while (merges.size() < 30) {
    const std::string left = tokens[random() % tokens.size()];
    const std::string right = tokens[random() % tokens.size()];
    if (std::ranges::find(merges, std::pair(left, right)) != merges.end()) continue;
    if (left.size() + right.size() > 8) continue;
    merges.emplace_back(left, right);
    tokens.push_back(left + right);
  }
  std::ranges::shuffle(merges, random);
  for (const auto& [left, right] : merges) test::add_merge(root, left, right);
  return parse_tokenizer_json(root.dump()).value();
}

TEST(Bpe, ShortAndLongPiecesAgreeWithTheDefinition) {
  constexpr uint32_t kSeed = 11;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 60; ++i) {
    const TokenizerSpec spec = random_spec(random);
    const Bpe bpe = Bpe::build(spec).value();
    const NaiveBpe naive(spec);
    for (const size_t size : {size_t{1}, size_t{2}, size_t{3}, size_t{17}, Bpe::kShortPieceBytesMax,
                              Bpe::kShortPieceBytesMax + 1, size_t{200}}) {
      std::string piece(size, 'a');
      if (i % 2 == 0) {
        for (char& c : piece) c = "abcd"[random() % 4];
      }
      std::vector<TokenId> ids;
      bpe.encode(piece, ids);
      ASSERT_EQ(ids, naive.encode(piece)) << piece << ", seed " << kSeed;
    }
  }
}

TEST(Bpe, EqualRanksMergeLeftmostFirst) {
  nlohmann::json root = test::bytes_only_json();
  test::add_merge(root, "a", "a");
  const Bpe bpe = Bpe::build(parse_tokenizer_json(root.dump()).value()).value();
  for (const size_t size : {size_t{3}, Bpe::kShortPieceBytesMax + 1}) {  // both odd
    std::vector<TokenId> ids;
    bpe.encode(std::string(size, 'a'), ids);
    ASSERT_EQ(ids.size(), size / 2 + 1);
    EXPECT_EQ(ids.back(), 'a');
  }
}

}  // namespace
}  // namespace hadal
