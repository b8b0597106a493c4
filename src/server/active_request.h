// One accepted HTTP request: its sequences in the engine and the text that comes back.
#pragma once

#include <memory>
#include <vector>

#include "hadal/base/clock.h"
#include "hadal/base/status.h"
#include "hadal/server/server.h"
#include "server/api_request.h"
#include "server/generation.h"
#include "server/output_dispatcher.h"
#include "server/random_source.h"

namespace hadal {

// Threads: one worker.
class ActiveRequest {
 public:
  struct Context {
    const ServedModel& model;
    OutputDispatcher& dispatcher;
    SeedSource& seeds;
    const Limits& limits;
    TimePoint arrival;
  };

  // Tokenises and submits every choice: all are accepted, or none stays. Errors are the client's
  // (kInvalidArgument, kTooLarge, kUnsupported) or the engine's refusals.
  static Result<std::unique_ptr<ActiveRequest>> start(const Context& context,
                                                      const ApiRequest& request);
  // Nothing submitted yet; use start().
  ActiveRequest(const Context& context, size_t choices);
  // Cancels what has not ended.
  ~ActiveRequest();
  ActiveRequest(const ActiveRequest&) = delete;
  ActiveRequest& operator=(const ActiveRequest&) = delete;

  Generation& generation() { return *generation_; }
  size_t choices() const { return choices_; }
  const std::vector<int64_t>& prompt_tokens() const { return prompt_tokens_; }

 private:
  Status submit(const Context& context, const ApiRequest& request, size_t index,
                const std::vector<TokenId>& prompt, uint64_t seed);

  Engine& engine_;
  size_t choices_;
  std::shared_ptr<Generation> generation_;
  std::vector<RequestId> ids_;          // submitted
  std::vector<int64_t> prompt_tokens_;  // by prompt
};

}  // namespace hadal
