#include "server/unsupported_fields.h"

#include <array>
#include <string_view>

namespace hadal {
namespace {

// The value of a field with which it has no effect.
enum class Off { kNone, kFalse, kZero, kOne, kEmpty, kTrue, kTextFormat, kNoTools, kAnyEffort };

struct UnsupportedField {
  std::string_view name;
  Off off;
};

// Of both endpoints unless said otherwise.
constexpr std::array kFields = {
    UnsupportedField{"presence_penalty", Off::kZero},
    UnsupportedField{"frequency_penalty", Off::kZero},
    UnsupportedField{"repetition_penalty", Off::kOne},
    UnsupportedField{"length_penalty", Off::kOne},
    UnsupportedField{"min_p", Off::kZero},
    UnsupportedField{"priority", Off::kZero},
    UnsupportedField{"min_tokens", Off::kZero},
    UnsupportedField{"logit_bias", Off::kEmpty},
    UnsupportedField{"bad_words", Off::kEmpty},
    UnsupportedField{"allowed_token_ids", Off::kEmpty},
    UnsupportedField{"logprob_token_ids", Off::kEmpty},
    UnsupportedField{"top_logprobs", Off::kZero},
    UnsupportedField{"prompt_logprobs", Off::kNone},
    UnsupportedField{"use_beam_search", Off::kFalse},
    UnsupportedField{"echo", Off::kFalse},
    UnsupportedField{"truncate_prompt_tokens", Off::kNone},
    UnsupportedField{"response_format", Off::kTextFormat},
    UnsupportedField{"structured_outputs", Off::kNone},
    UnsupportedField{"guided_json", Off::kNone},
    UnsupportedField{"guided_regex", Off::kNone},
    UnsupportedField{"guided_choice", Off::kNone},
    UnsupportedField{"guided_grammar", Off::kNone},
    UnsupportedField{"repetition_detection", Off::kNone},
    UnsupportedField{"prompt_embeds", Off::kNone},
    UnsupportedField{"return_token_ids", Off::kFalse},
    UnsupportedField{"return_tokens_as_token_ids", Off::kFalse},
    UnsupportedField{"spaces_between_special_tokens", Off::kTrue},
};

constexpr std::array kChatFields = {
    UnsupportedField{"logprobs", Off::kFalse},
    UnsupportedField{"tools", Off::kEmpty},
    UnsupportedField{"tool_choice", Off::kNoTools},
    UnsupportedField{"functions", Off::kEmpty},
    UnsupportedField{"function_call", Off::kNoTools},
    UnsupportedField{"reasoning_effort", Off::kAnyEffort},
    UnsupportedField{"thinking_token_budget", Off::kNone},
    UnsupportedField{"add_generation_prompt", Off::kTrue},
    UnsupportedField{"continue_final_message", Off::kFalse},
    UnsupportedField{"documents", Off::kEmpty},
    UnsupportedField{"chat_template", Off::kNone},
    UnsupportedField{"chat_template_kwargs", Off::kEmpty},
    UnsupportedField{"audio", Off::kNone},
    UnsupportedField{"prediction", Off::kNone},
    UnsupportedField{"web_search_options", Off::kNone},
};

constexpr std::array kCompletionFields = {
    UnsupportedField{"logprobs", Off::kNone},
    UnsupportedField{"suffix", Off::kEmpty},
};

bool is_text_format(const Json& value) {
  return value.is_object() && value.contains("type") && value["type"] == "text";
}

// The chat format has no place for an effort, so every level that asks for thinking is what the
// model does anyway; "none" asks for something else.
bool is_thinking_effort(const Json& value) {
  for (const char* level : {"minimal", "low", "medium", "high", "xhigh", "max"}) {
    if (value == level) return true;
  }
  return false;
}

bool is_off(const Json& value, Off off) {
  switch (off) {
    case Off::kNone:
      return false;
    case Off::kFalse:
      return value == false;
    case Off::kTrue:
      return value == true;
    case Off::kZero:
      return value.is_number() && value == 0;
    case Off::kOne:
      return value.is_number() && value == 1;
    case Off::kEmpty:
      return (value.is_structured() && value.empty()) || (value.is_string() && value == "");
    case Off::kTextFormat:
      return is_text_format(value);
    case Off::kNoTools:
      return value == "none" || value == "auto";
    case Off::kAnyEffort:
      return is_thinking_effort(value);
  }
  return false;
}

Status refuse(const JsonFields& fields, std::span<const UnsupportedField> table) {
  for (const UnsupportedField& field : table) {
    const Json* value = fields.find(field.name);
    if (value == nullptr || is_off(*value, field.off)) continue;
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{} is not supported by this server", field.name),
                 std::string(field.name)};
  }
  return {};
}

}  // namespace

Status refuse_unsupported_fields(bool is_chat, const JsonFields& fields) {
  HADAL_RETURN_IF_ERROR(refuse(fields, kFields));
  if (is_chat) return refuse(fields, kChatFields);
  return refuse(fields, kCompletionFields);
}

}  // namespace hadal
