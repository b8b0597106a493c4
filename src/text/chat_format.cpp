#include "hadal/text/chat_format.h"

#include <array>
#include <utility>

#include "text/chat_template_features.h"

namespace hadal {
namespace {

constexpr std::string_view kR10528Name = "deepseek-r1-0528";

enum Control : size_t {
  kBos,
  kEos,
  kUser,
  kAssistant,
  kCallsBegin,
  kCallsEnd,
  kCallBegin,
  kCallEnd,
  kToolSep,
  kOutputsBegin,
  kOutputsEnd,
  kOutputBegin,
  kOutputEnd,
  kControls
};

// By Control, from kUser on; BOS and EOS are the tokenizer's.
constexpr std::array<std::string_view, kControls> kControlTexts = {"",
                                                                   "",
                                                                   "<｜User｜>",
                                                                   "<｜Assistant｜>",
                                                                   "<｜tool▁calls▁begin｜>",
                                                                   "<｜tool▁calls▁end｜>",
                                                                   "<｜tool▁call▁begin｜>",
                                                                   "<｜tool▁call▁end｜>",
                                                                   "<｜tool▁sep｜>",
                                                                   "<｜tool▁outputs▁begin｜>",
                                                                   "<｜tool▁outputs▁end｜>",
                                                                   "<｜tool▁output▁begin｜>",
                                                                   "<｜tool▁output▁end｜>"};

// The first tool token's text in `text` and where it begins; kControls and npos if there is none.
std::pair<size_t, Control> first_tool_token(std::string_view text) {
  std::pair<size_t, Control> first = {std::string_view::npos, kControls};
  for (size_t i = kCallsBegin; i < kControls; ++i) {
    const size_t begin = text.find(kControlTexts[i]);
    if (begin < first.first) first = {begin, static_cast<Control>(i)};
  }
  return first;
}

class PromptWriter {
 public:
  explicit PromptWriter(std::span<const TokenId> controls) : controls_(controls) {}

  void control(Control control) { prompt_.push_back({.control = controls_[control]}); }
  void text(std::string_view text) {
    if (text.empty()) return;
    if (prompt_.empty() || prompt_.back().control != kNoToken) prompt_.emplace_back();
    prompt_.back().text += text;
  }
  // Text in which the tool tokens, and no others, may stand for themselves.
  void text_showing_calls(std::string_view text) {
    while (!text.empty()) {
      const auto [begin, control] = first_tool_token(text);
      this->text(text.substr(0, begin));
      if (control == kControls) return;
      this->control(control);
      text.remove_prefix(begin + kControlTexts[control].size());
    }
  }
  std::vector<PromptSegment> finish() && { return std::move(prompt_); }

 private:
  std::span<const TokenId> controls_;
  std::vector<PromptSegment> prompt_;
};

std::string_view without_reasoning(std::string_view content) {
  constexpr std::string_view kEndThink = "</think>";
  const size_t last = content.rfind(kEndThink);
  return last == std::string_view::npos ? content : content.substr(last + kEndThink.size());
}

void write_system(std::span<const ChatMessage> messages, PromptWriter& prompt) {
  bool first = true;
  for (const ChatMessage& message : messages) {
    if (message.role != ChatRole::kSystem) continue;
    if (!first) prompt.text("\n\n");
    prompt.text_showing_calls(message.content);
    first = false;
  }
}

void write_calls(std::span<const ToolCall> calls, PromptWriter& prompt) {
  prompt.control(kCallsBegin);
  for (const ToolCall& call : calls) {
    if (&call != &calls.front()) prompt.text("\n");
    prompt.control(kCallBegin);
    prompt.text(call.type);
    prompt.control(kToolSep);
    prompt.text(call.name);
    prompt.text("\n```json\n");
    prompt.text(call.arguments);
    prompt.text("\n```");
    prompt.control(kCallEnd);
  }
  prompt.control(kCallsEnd);
}

// Refers to the state machine in the header: what a message writes depends on two facts about the
// messages before it.
struct Turn {
  bool outputs_open = false;    // a run of tool results has not been closed
  bool assistant_open = false;  // the last message was a user's, which opens the next turn

  void write(const ChatMessage& message, PromptWriter& prompt) {
    switch (message.role) {
      case ChatRole::kSystem:
        return;  // already written, before all turns
      case ChatRole::kUser:
        prompt.control(kUser);
        prompt.text(message.content);
        prompt.control(kAssistant);
        *this = {.assistant_open = true};
        return;
      case ChatRole::kAssistant:
        if (outputs_open) prompt.control(kOutputsEnd);
        prompt.text(without_reasoning(message.content));
        if (!message.tool_calls.empty()) write_calls(message.tool_calls, prompt);
        prompt.control(kEos);
        *this = {};
        return;
      case ChatRole::kTool:
        if (outputs_open) {
          prompt.text("\n");
        } else {
          prompt.control(kOutputsBegin);
        }
        prompt.control(kOutputBegin);
        prompt.text(message.content);
        prompt.control(kOutputEnd);
        *this = {.outputs_open = true};
        return;
    }
  }

  void write_end(bool add_generation_prompt, PromptWriter& prompt) const {
    if (outputs_open) {
      prompt.control(kOutputsEnd);
    } else if (add_generation_prompt && !assistant_open) {
      prompt.control(kAssistant);
    }
  }
};

}  // namespace

Result<ChatFormatKind> parse_chat_format_name(std::string_view name) {
  if (name == kR10528Name) return ChatFormatKind::kDeepseekR10528;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("no chat format is named \"{}\"; supported: {}", name, kR10528Name)};
}

Result<ChatFormatKind> recognise_chat_template(std::string_view chat_template) {
  if (chat_template.empty()) {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("the checkpoint has no chat template; supported formats: {}", kR10528Name)};
  }
  const auto missing = missing_r1_0528_features(normalise_chat_template(chat_template));
  if (missing.empty()) return ChatFormatKind::kDeepseekR10528;
  return Error{ErrorCode::kUnsupported,
               fmt::format("the checkpoint's chat template is of no supported format ({}): it does "
                           "not {}",
                           kR10528Name, missing.front())};
}

Result<ChatFormat> ChatFormat::create(const Tokenizer& tokenizer,
                                      std::optional<ChatFormatKind> override_kind) {
  if (!override_kind) {
    HADAL_RETURN_IF_ERROR(recognise_chat_template(tokenizer.config().chat_template));
  }
  std::vector<TokenId> controls(kControls);
  controls[kBos] = tokenizer.bos_id();
  controls[kEos] = tokenizer.eos_id();
  for (size_t i = kUser; i < kControls; ++i) {
    const std::optional<TokenId> id = tokenizer.find_added_token(kControlTexts[i]);
    if (!id) {
      return Error{ErrorCode::kUnsupported,
                   fmt::format("tokenizer.json: added_tokens lacks {}, which the chat format {} "
                               "needs",
                               kControlTexts[i], kR10528Name)};
    }
    controls[i] = *id;
  }
  return ChatFormat(tokenizer, std::move(controls));
}

std::vector<PromptSegment> ChatFormat::render(std::span<const ChatMessage> messages,
                                              bool add_generation_prompt) const {
  PromptWriter prompt(controls_);
  prompt.control(kBos);
  write_system(messages, prompt);
  Turn turn;
  for (const ChatMessage& message : messages) turn.write(message, prompt);
  turn.write_end(add_generation_prompt, prompt);
  return std::move(prompt).finish();
}

Result<std::vector<TokenId>> ChatFormat::tokens(std::span<const PromptSegment> prompt) const {
  std::vector<TokenId> tokens;
  for (const PromptSegment& segment : prompt) {
    if (segment.control != kNoToken) {
      tokens.push_back(segment.control);
      continue;
    }
    HADAL_ASSIGN_OR_RETURN(const std::vector<TokenId> ids,
                           tokenizer_->encode(segment.text, {.parse_special = false}));
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }
  return tokens;
}

std::string ChatFormat::text(std::span<const PromptSegment> prompt) const {
  std::string text;
  for (const PromptSegment& segment : prompt) {
    text += segment.control == kNoToken ? std::string_view(segment.text)
                                        : tokenizer_->token_bytes(segment.control);
  }
  return text;
}

}  // namespace hadal
