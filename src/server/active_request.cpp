#include "server/active_request.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "server/prompts.h"

namespace hadal {
namespace {

SamplingParams sampling_of(const ApiRequest& request, const ServedModel& model,
                           size_t prompt_tokens, uint64_t seed, uint32_t choice) {
  SamplingParams sampling = request.sampling;
  const auto room = static_cast<int64_t>(model.max_model_len) - static_cast<int64_t>(prompt_tokens);
  // An upper bound, as OpenAI defines it: what does not fit is not an error.
  sampling.max_tokens = static_cast<int>(
      std::min(room, request.max_tokens.value_or(std::numeric_limits<int>::max())));
  sampling.eos_token_id = model.eos_token_id;
  sampling.seed = seed;
  sampling.choice = choice;
  return sampling;
}

OutputOptions output_options(const ApiRequest& request, const ServedModel& model,
                             const std::vector<TokenId>& prompt) {
  OutputOptions options{
      .skip_special_tokens = request.skip_special_tokens,
      .stop = {.stop_strings = request.stop, .include_stop_string = request.include_stop_string}};
  if (request.endpoint == Endpoint::kChat) {
    options.reasoning = {
        .markers = model.reasoning_markers,
        .start = reasoning_start(model.tokenizer, model.reasoning_markers, prompt)};
  }
  return options;
}

Error with_param(Error error, const char* param) {
  if (error.param.empty()) error.param = param;
  return error;
}

}  // namespace

ActiveRequest::ActiveRequest(const Context& context, size_t choices)
    : engine_(context.model.engine),
      choices_(choices),
      generation_(std::make_shared<Generation>(static_cast<int>(choices),
                                               context.limits.output_events_queued_max)) {}

ActiveRequest::~ActiveRequest() {
  generation_->abandon();
  if (generation_->finished()) return;
  for (const RequestId id : ids_) engine_.cancel(id);
}

Result<std::unique_ptr<ActiveRequest>> ActiveRequest::start(const Context& context,
                                                            const ApiRequest& request) {
  HADAL_ASSIGN_OR_RETURN(const auto prompts, make_prompts(request, context.model));
  const auto n = static_cast<size_t>(request.n);
  auto active = std::make_unique<ActiveRequest>(context, prompts.size() * n);
  const uint64_t seed = request.seed ? static_cast<uint64_t>(*request.seed) : context.seeds.next();
  for (size_t i = 0; i < prompts.size() * n; ++i) {
    const auto& prompt = prompts[i / n];
    if (i % n == 0) active->prompt_tokens_.push_back(static_cast<int64_t>(prompt.size()));
    HADAL_RETURN_IF_ERROR(active->submit(context, request, i, prompt, seed));
  }
  return active;
}

Status ActiveRequest::submit(const Context& context, const ApiRequest& request, size_t index,
                             const std::vector<TokenId>& prompt, uint64_t seed) {
  const ServedModel& model = context.model;
  const auto choice = static_cast<uint32_t>(index % static_cast<size_t>(request.n));
  Request engine_request{
      .prompt = prompt,
      .sampling = sampling_of(request, model, prompt.size(), seed, choice),
      .cache_salt = request.cache_salt,
      .leader = choice == 0 ? RequestId{} : ids_[index - choice],
  };
  HADAL_RETURN_IF_ERROR(validate(engine_request.sampling, model.vocab_size));
  auto decoder = ChoiceDecoder::create(model.tokenizer, output_options(request, model, prompt),
                                       static_cast<int>(index));
  if (!decoder) {
    // Too many or too long stop strings are a wrong value, not too long a prompt.
    return Error{ErrorCode::kInvalidArgument, decoder.error().message, "stop"};
  }
  const RequestId id = engine_.next_id();
  context.dispatcher.add({.request = id,
                          .decoder = std::move(decoder).value(),
                          .generation = generation_,
                          .arrival = context.arrival});
  if (const Status status = engine_.submit(id, std::move(engine_request)); !status) {
    context.dispatcher.remove(id);
    return with_param(status.error(), request.endpoint == Endpoint::kChat ? "messages" : "prompt");
  }
  ids_.push_back(id);
  return {};
}

}  // namespace hadal
