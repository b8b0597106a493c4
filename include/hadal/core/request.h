// What a client asks the engine for, and how it ends.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"
#include "hadal/core/limits.h"
#include "hadal/core/sampling_params.h"

namespace hadal {

// One sequence to generate. A request with n choices is n of these with choice = 0 … n - 1.
struct Request {
  std::vector<TokenId> prompt;  // at least one token
  SamplingParams sampling;
  int priority = 0;        // lower is served first under the `priority` policy
  std::string cache_salt;  // partitions the prefix cache: API key hash and the client's own salt
  // The first of n choices of one prompt, for the others; {} for none. They wait until its prompt
  // is computed and find it in the prefix cache.
  RequestId leader{};
};

enum class FinishReason : uint8_t {
  kStop,    // EOS, a stop token or a stop string
  kLength,  // max_tokens
  kCancelled,
  kError,  // see the end event's error
};

// Counts of one finished request. completion_tokens counts through the last delivered token.
struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, found in the prefix cache
  int64_t completion_tokens = 0;
};

// What happened to one request in one step.
struct OutputEvent {
  RequestId request{};
  // Newly generated, in order; the ending EOS or stop token included. At most 1 + kDraftsMax a
  // step.
  int32_t count = 0;
  std::array<TokenId, kDraftsMax + 1> tokens{};
  // The request's last event. The fields below are set only then.
  bool end = false;
  FinishReason reason = FinishReason::kStop;
  TokenId stop_token = kNoToken;  // the token that ended it, for reason kStop
  Usage usage;
  Error error;  // for reason kError
};

}  // namespace hadal
