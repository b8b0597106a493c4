#include "server/prompts.h"

#include <utility>

namespace hadal {
namespace {

const char* param_of(const ApiRequest& request) {
  return request.endpoint == Endpoint::kChat ? "messages" : "prompt";
}

Error too_long(const ApiRequest& request, const ServedModel& model, std::string found) {
  return Error{ErrorCode::kTooLarge,
               fmt::format("This model's maximum context length is {} tokens. However, your prompt "
                           "contains {} input tokens, which leaves no room for an answer.",
                           model.max_model_len, found),
               param_of(request)};
}

// Refuses a text whose length alone says that it cannot fit.
Status check_bytes(const ApiRequest& request, const ServedModel& model, size_t bytes) {
  const size_t tokens_min = bytes / model.tokenizer.token_bytes_max();
  if (tokens_min < static_cast<size_t>(model.max_model_len)) return {};
  return too_long(request, model, fmt::format("at least {}", tokens_min));
}

Result<std::vector<TokenId>> chat_tokens(const ApiRequest& request, const ServedModel& model) {
  size_t bytes = 0;
  for (const ChatMessage& message : request.messages) bytes += message.content.size();
  HADAL_RETURN_IF_ERROR(check_bytes(request, model, bytes));
  constexpr bool kAddGenerationPrompt = true;
  return model.chat_format.tokens(model.chat_format.render(request.messages, kAddGenerationPrompt));
}

Result<std::vector<TokenId>> completion_tokens(const ApiRequest& request, const ServedModel& model,
                                               const TextOrTokens& prompt) {
  if (const auto* tokens = std::get_if<std::vector<TokenId>>(&prompt)) return *tokens;
  const auto& text = std::get<std::string>(prompt);
  HADAL_RETURN_IF_ERROR(check_bytes(request, model, text.size()));
  // A raw prompt is the template's level: who sends one may write its special tokens.
  return model.tokenizer.encode(text,
                                {.add_bos = request.add_special_tokens, .parse_special = true});
}

Status check_length(const ApiRequest& request, const ServedModel& model, size_t tokens) {
  if (tokens == 0) {
    return Error{ErrorCode::kInvalidArgument, "the prompt has no tokens", param_of(request)};
  }
  if (tokens < static_cast<size_t>(model.max_model_len)) return {};
  return too_long(request, model, fmt::format("{}", tokens));
}

}  // namespace

Result<std::vector<std::vector<TokenId>>> make_prompts(const ApiRequest& request,
                                                       const ServedModel& model) {
  std::vector<std::vector<TokenId>> prompts;
  if (request.endpoint == Endpoint::kChat) {
    HADAL_ASSIGN_OR_RETURN(auto tokens, chat_tokens(request, model));
    prompts.push_back(std::move(tokens));
  }
  for (const TextOrTokens& prompt : request.prompts) {
    HADAL_ASSIGN_OR_RETURN(auto tokens, completion_tokens(request, model, prompt));
    prompts.push_back(std::move(tokens));
  }
  for (const auto& tokens : prompts) {
    HADAL_RETURN_IF_ERROR(check_length(request, model, tokens.size()));
  }
  return prompts;
}

}  // namespace hadal
