#include "support/fake_model.h"

#include <algorithm>

namespace hadal::test {

TokenId FakeModel::next_token(Prefix prefix, const SamplingParams& sampling) const {
  uint64_t hash = mix(prefix ^ 0x5851F42D4C957F2D);
  if (!sampling.greedy()) hash = mix(hash ^ mix(sampling.seed ^ (uint64_t{sampling.choice} << 48)));
  if (eos_period > 0 && (hash >> 32) % static_cast<uint64_t>(eos_period) == 0) {
    return sampling.eos_token_id;
  }
  return static_cast<TokenId>(hash % static_cast<uint64_t>(vocab_size));
}

TokenId FakeModel::draft(Prefix prefix, int j, const SamplingParams& sampling) const {
  const TokenId right = next_token(prefix, sampling);
  const uint64_t coin = mix(prefix ^ (0xD1B54A32D192ED03 * static_cast<uint64_t>(j)));
  const bool is_right = static_cast<double>(coin >> 11) * 0x1p-53 < acceptance;
  return is_right ? right : (right + 1) % vocab_size;
}

std::vector<TokenId> FakeModel::output_of(const Request& request) const {
  Prefix prefix = kEmptyPrefix;
  for (const TokenId token : request.prompt) prefix = extend(prefix, token);
  std::vector<TokenId> output;
  for (int32_t left = request.sampling.max_tokens;; --left) {
    output.push_back(next_token(prefix, request.sampling));
    if (end_of(output.back(), left, request.sampling) != RowEnd::kNone) return output;
    prefix = extend(prefix, output.back());
  }
}

RowEnd end_of(TokenId token, int32_t tokens_left, const SamplingParams& sampling) {
  if (token == sampling.eos_token_id && !sampling.ignore_eos) return RowEnd::kEos;
  if (std::ranges::count(sampling.stop_token_ids, token) > 0) return RowEnd::kStopToken;
  return tokens_left == 1 ? RowEnd::kLength : RowEnd::kNone;
}

}  // namespace hadal::test
