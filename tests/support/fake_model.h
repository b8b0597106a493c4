// A language model that is a hash: the next token of a sequence is a function of its own tokens
// (and, when sampling, of seed and choice), so what a request must produce is known without running
// it. Drafts are right with a fixed probability, a function of the same.
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/core/request.h"
#include "hadal/core/step_plan.h"

namespace hadal::test {

// Stands for everything that the tokens [0, p] determine.
using Prefix = uint64_t;
inline constexpr Prefix kEmptyPrefix = 0x9E3779B97F4A7C15;

inline uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

inline Prefix extend(Prefix prefix, TokenId token) {
  return mix(prefix + 0x9E3779B97F4A7C15 * (static_cast<uint64_t>(token) + 2));
}

struct FakeModel {
  int32_t vocab_size = 1000;
  double acceptance = 0.7;  // probability that a draft is right
  int32_t eos_period = 0;   // one token in so many is EOS; 0: none ever is

  TokenId next_token(Prefix prefix, const SamplingParams& sampling) const;

  // The draft for the token that follows `prefix`, draft `j` of its chain.
  TokenId draft(Prefix prefix, int j, const SamplingParams& sampling) const;

  // What the request produces, alone, plainly decoded.
  std::vector<TokenId> output_of(const Request& request) const;
};

// Whether the token ends the sequence, and why; `tokens_left` counts it.
RowEnd end_of(TokenId token, int32_t tokens_left, const SamplingParams& sampling);

}  // namespace hadal::test
