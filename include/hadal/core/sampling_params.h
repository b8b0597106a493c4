// How the tokens of one sequence are chosen, and when it ends. Values are validated where they
// enter (the server); validate() is that check, so that every SamplingParams inside the program is
// in range.
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"

namespace hadal {

struct SamplingParams {
  // Below kGreedyTemperature: argmax, lowest id on ties, and nothing else of this block matters.
  // Otherwise logits / temperature -> top_k -> top_p -> Gumbel-max with the position-keyed noise
  // (noise.h).
  float temperature = 1.0F;  // [0, 2]
  int top_k = 0;             // 0: off
  float top_p =
      1.0F;  // (0, 1]; the smallest set whose probability reaches it, crossing token included
  uint64_t seed = 0;    // of the noise; the server draws and records one when the request has none
  uint32_t choice = 0;  // index among the n choices of one request; part of the noise's key

  int max_tokens = 16;  // output tokens, >= 1
  bool ignore_eos = false;
  TokenId eos_token_id = 1;
  std::vector<TokenId> stop_token_ids;  // at most kStopTokenIdsMax

  bool greedy() const { return temperature < kGreedyTemperature; }
  static constexpr float kGreedyTemperature = 1e-5F;
};

// Range checks that need no model but its vocabulary; the error's `param` is the field's name.
Status validate(const SamplingParams& params, int vocab_size);

}  // namespace hadal
