// A request's JSON → what to generate, with every value checked at this edge.
//
// Unknown fields are ignored, as vLLM does. A known field that this server cannot honour and that
// would change the answer is refused (kUnsupported) unless it has the value that means "off".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"
#include "hadal/core/limits.h"
#include "hadal/core/sampling_params.h"
#include "hadal/server/server.h"
#include "hadal/text/chat_format.h"
#include "server/json.h"

namespace hadal {

enum class Endpoint { kChat, kCompletions };

using TextOrTokens = std::variant<std::string, std::vector<TokenId>>;

struct ApiRequest {
  Endpoint endpoint = Endpoint::kChat;
  std::string model;                  // a served name
  std::vector<ChatMessage> messages;  // kChat
  std::vector<TextOrTokens> prompts;  // kCompletions; at least one
  bool add_special_tokens = true;     // kCompletions: BOS in front of a text prompt

  SamplingParams sampling;            // max_tokens, seed and choice are set per choice, later
  std::optional<int64_t> max_tokens;  // none: as many as fit
  std::optional<int64_t> seed;
  int n = 1;
  std::string cache_salt;

  std::vector<std::string> stop;
  bool include_stop_string = false;
  bool skip_special_tokens = true;
  bool include_reasoning = true;

  bool stream = false;
  bool include_usage = false;           // streams: a last chunk with the counts
  bool continuous_usage_stats = false;  // streams: counts in every chunk
};

// What a request is checked against.
struct RequestRules {
  std::span<const std::string> model_names;
  SamplingDefaults defaults;
  int vocab_size = 0;
  int choices_max = 0;
};

// REQUIRES: nothing of `body`; anything but an object is an error too.
Result<ApiRequest> parse_api_request(Endpoint endpoint, const Json& body,
                                     const RequestRules& rules);

}  // namespace hadal
