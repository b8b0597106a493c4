#include "server/api_request.h"

#include <algorithm>
#include <array>
#include <limits>

#include "hadal/base/log.h"
#include "server/chat_messages.h"
#include "server/unsupported_fields.h"

namespace hadal {
namespace {

constexpr int64_t kTokensMax = std::numeric_limits<int32_t>::max();

Status parse_model(const JsonFields& fields, const RequestRules& rules, ApiRequest& request) {
  HADAL_ASSIGN_OR_RETURN(auto model, fields.string("model"));
  request.model = model.value_or(rules.model_names.front());
  if (std::ranges::find(rules.model_names, request.model) != rules.model_names.end()) return {};
  return Error{ErrorCode::kNotFound,
               fmt::format("The model `{}` does not exist; this server has `{}`.",
                           printable(request.model), rules.model_names.front()),
               "model"};
}

// An array of token ids in the vocabulary, at least one.
Result<std::vector<TokenId>> parse_tokens(const Json& array, const std::string& path,
                                          int vocab_size) {
  std::vector<TokenId> tokens;
  tokens.reserve(array.size());
  for (size_t i = 0; i < array.size(); ++i) {
    const auto id = array[i].is_number() ? integer_in(array[i]) : std::nullopt;
    if (!id || *id < 0 || *id >= vocab_size) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("{}[{}] must be a token id from 0 to {}", path, i, vocab_size - 1),
                   path};
    }
    tokens.push_back(static_cast<TokenId>(*id));
  }
  return tokens;
}

Result<TextOrTokens> parse_prompt(const Json& value, const std::string& path, int vocab_size) {
  if (value.is_string() && !value.get_ref<const std::string&>().empty()) {
    return TextOrTokens(value.get<std::string>());
  }
  if (value.is_array() && !value.empty()) {
    HADAL_ASSIGN_OR_RETURN(auto tokens, parse_tokens(value, path, vocab_size));
    return TextOrTokens(std::move(tokens));
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{} must be a string or an array of token ids, and not empty", path),
               path};
}

// `prompt`: a string, an array of strings, an array of ids, or an array of arrays of ids.
Status parse_prompts(const JsonFields& fields, const RequestRules& rules, ApiRequest& request) {
  const Json* prompt = fields.find("prompt");
  if (prompt == nullptr) return fields.error("prompt", "prompt is missing");
  const bool is_list = prompt->is_array() && !prompt->empty() && !prompt->front().is_number();
  if (!is_list) {
    HADAL_ASSIGN_OR_RETURN(auto only, parse_prompt(*prompt, "prompt", rules.vocab_size));
    request.prompts.push_back(std::move(only));
    return {};
  }
  if (prompt->size() > static_cast<size_t>(rules.choices_max)) {
    return fields.error("prompt", fmt::format("prompt holds {} prompts, at most {} are allowed",
                                              prompt->size(), rules.choices_max));
  }
  for (size_t i = 0; i < prompt->size(); ++i) {
    HADAL_ASSIGN_OR_RETURN(
        auto item, parse_prompt((*prompt)[i], fmt::format("prompt[{}]", i), rules.vocab_size));
    request.prompts.push_back(std::move(item));
  }
  return {};
}

Status parse_length(const JsonFields& fields, ApiRequest& request) {
  constexpr int64_t kCompletionTokensDefault = 16;  // OpenAI's, for /v1/completions only
  HADAL_ASSIGN_OR_RETURN(request.max_tokens, fields.integer("max_tokens", 1, kTokensMax));
  if (request.endpoint == Endpoint::kCompletions) {
    request.max_tokens = request.max_tokens.value_or(kCompletionTokensDefault);
    return {};
  }
  HADAL_ASSIGN_OR_RETURN(const auto newer, fields.integer("max_completion_tokens", 1, kTokensMax));
  if (newer) request.max_tokens = newer;
  return {};
}

Status parse_sampling(const JsonFields& fields, const SamplingDefaults& defaults,
                      ApiRequest& request) {
  constexpr auto kInt64Min = std::numeric_limits<int64_t>::min();
  constexpr auto kInt64Max = std::numeric_limits<int64_t>::max();
  SamplingParams& sampling = request.sampling;
  HADAL_ASSIGN_OR_RETURN(const auto temperature, fields.number("temperature", 0, 2));
  HADAL_ASSIGN_OR_RETURN(const auto top_p, fields.number("top_p", 0, 1));
  HADAL_ASSIGN_OR_RETURN(const auto top_k, fields.integer("top_k", -1, kTokensMax));
  HADAL_ASSIGN_OR_RETURN(request.seed, fields.integer("seed", kInt64Min, kInt64Max));
  sampling.temperature = static_cast<float>(temperature.value_or(defaults.temperature));
  sampling.top_p = static_cast<float>(top_p.value_or(defaults.top_p));
  // Also below the smallest float: it must not become 0 on the way.
  if (!(sampling.top_p > 0)) {
    return fields.error("top_p", fmt::format("top_p must be in (0, 1], got {}", *top_p));
  }
  // -1 and 0 both mean off in vLLM's API.
  sampling.top_k = static_cast<int>(std::max<int64_t>(0, top_k.value_or(defaults.top_k)));
  HADAL_ASSIGN_OR_RETURN(const auto ignore_eos, fields.boolean("ignore_eos"));
  sampling.ignore_eos = ignore_eos.value_or(false);
  return {};
}

Status parse_stop_strings(const JsonFields& fields, ApiRequest& request) {
  const Json* stop = fields.find("stop");
  if (stop == nullptr) return {};
  if (stop->is_string()) {
    request.stop = {stop->get<std::string>()};
    return {};
  }
  if (!stop->is_array()) {
    return fields.error("stop",
                        fmt::format("stop must be a string or an array, got {}", kind_of(*stop)));
  }
  if (stop->size() > static_cast<size_t>(kStopStringsMax)) {
    return fields.error("stop", fmt::format("stop holds {} strings, at most {} are allowed",
                                            stop->size(), kStopStringsMax));
  }
  for (size_t i = 0; i < stop->size(); ++i) {
    if (!(*stop)[i].is_string()) {
      return fields.error("stop",
                          fmt::format("stop[{}] must be a string, got {}", i, kind_of((*stop)[i])));
    }
    request.stop.push_back((*stop)[i].get<std::string>());
  }
  return {};
}

Status parse_stops(const JsonFields& fields, const RequestRules& rules, ApiRequest& request) {
  HADAL_RETURN_IF_ERROR(parse_stop_strings(fields, request));
  HADAL_ASSIGN_OR_RETURN(const auto include, fields.boolean("include_stop_str_in_output"));
  request.include_stop_string = include.value_or(false);
  const Json* ids = fields.find("stop_token_ids");
  if (ids == nullptr) return {};
  if (!ids->is_array() || ids->size() > static_cast<size_t>(kStopTokenIdsMax)) {
    return fields.error(
        "stop_token_ids",
        fmt::format("stop_token_ids must be an array of at most {} token ids", kStopTokenIdsMax));
  }
  HADAL_ASSIGN_OR_RETURN(request.sampling.stop_token_ids,
                         parse_tokens(*ids, "stop_token_ids", rules.vocab_size));
  return {};
}

Status parse_choices(const JsonFields& fields, const RequestRules& rules, ApiRequest& request) {
  HADAL_ASSIGN_OR_RETURN(const auto n, fields.integer("n", 1, rules.choices_max));
  request.n = static_cast<int>(n.value_or(1));
  const size_t choices = std::max<size_t>(1, request.prompts.size()) * request.n;
  if (choices > static_cast<size_t>(rules.choices_max)) {
    return fields.error("n", fmt::format("n times the number of prompts is {}, at most {} is "
                                         "allowed",
                                         choices, rules.choices_max));
  }
  HADAL_ASSIGN_OR_RETURN(const auto best_of, fields.integer("best_of", 1, rules.choices_max));
  if (best_of && *best_of != request.n) {
    return Error{ErrorCode::kUnsupported, "best_of is supported only where it equals n", "best_of"};
  }
  return {};
}

Status parse_stream(const JsonFields& fields, ApiRequest& request) {
  HADAL_ASSIGN_OR_RETURN(const auto stream, fields.boolean("stream"));
  request.stream = stream.value_or(false);
  const Json* options = fields.find("stream_options");
  if (options == nullptr) return {};
  if (!options->is_object()) {
    return fields.error("stream_options",
                        fmt::format("stream_options must be an object, got {}", kind_of(*options)));
  }
  if (!request.stream) {
    return fields.error("stream_options", "Stream options can only be defined when `stream=True`.");
  }
  const JsonFields nested(*options, "stream_options");
  HADAL_ASSIGN_OR_RETURN(const auto usage, nested.boolean("include_usage"));
  HADAL_ASSIGN_OR_RETURN(const auto continuous, nested.boolean("continuous_usage_stats"));
  request.continuous_usage_stats = continuous.value_or(false);
  request.include_usage = usage.value_or(false) || request.continuous_usage_stats;
  return {};
}

Status parse_extensions(const JsonFields& fields, ApiRequest& request) {
  HADAL_ASSIGN_OR_RETURN(const auto skip, fields.boolean("skip_special_tokens"));
  HADAL_ASSIGN_OR_RETURN(const auto reasoning, fields.boolean("include_reasoning"));
  HADAL_ASSIGN_OR_RETURN(const auto special, fields.boolean("add_special_tokens"));
  HADAL_ASSIGN_OR_RETURN(auto salt, fields.string("cache_salt"));
  request.skip_special_tokens = skip.value_or(true);
  request.include_reasoning = reasoning.value_or(true);
  request.add_special_tokens = special.value_or(true);
  request.cache_salt = std::move(salt).value_or("");
  return {};
}

}  // namespace

Result<ApiRequest> parse_api_request(Endpoint endpoint, const Json& body,
                                     const RequestRules& rules) {
  if (!body.is_object()) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("the body must be a JSON object, got {}", kind_of(body))};
  }
  const JsonFields fields(body, "");
  ApiRequest request{.endpoint = endpoint};
  HADAL_RETURN_IF_ERROR(parse_model(fields, rules, request));
  HADAL_RETURN_IF_ERROR(refuse_unsupported_fields(endpoint == Endpoint::kChat, fields));
  if (endpoint == Endpoint::kChat) {
    HADAL_ASSIGN_OR_RETURN(request.messages, parse_chat_messages(fields.find("messages")));
  } else {
    HADAL_RETURN_IF_ERROR(parse_prompts(fields, rules, request));
  }
  HADAL_RETURN_IF_ERROR(parse_length(fields, request));
  HADAL_RETURN_IF_ERROR(parse_sampling(fields, rules.defaults, request));
  HADAL_RETURN_IF_ERROR(parse_stops(fields, rules, request));
  HADAL_RETURN_IF_ERROR(parse_choices(fields, rules, request));
  HADAL_RETURN_IF_ERROR(parse_stream(fields, request));
  HADAL_RETURN_IF_ERROR(parse_extensions(fields, request));
  return request;
}

}  // namespace hadal
