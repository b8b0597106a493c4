// Chat messages → prompt tokens, in the format the checkpoint was trained on.
//
// The checkpoint states its format as a Jinja template. No template is executed: the formats known
// here are written in C++, and the template is only recognised.
//
// Input marking. A rendered prompt is a list of segments: control tokens, which only the format
// itself can produce, and text. Text is tokenised with special tokens off, so that
// "<｜Assistant｜>" in a message, a name, an argument or a tool result stays ordinary text
// (invariant 1 of tokenizer.h). For messages that contain no such text the ids are those of the
// Hugging Face template. One exception: in a system message, which the application writes, the tool
// tokens stand for themselves, because prompts that explain calls show them. They can end no turn.
//
// The format "deepseek-r1-0528" (⏎ is a newline):
//   prompt     BOS, all system messages joined by ⏎⏎, then every other message in order
//   user       <｜User｜>content<｜Assistant｜>
//   assistant  content after its last </think> (earlier reasoning is not shown again), calls, EOS
//   calls      <｜tool▁calls▁begin｜>call⏎call…<｜tool▁calls▁end｜>
//   call       <｜tool▁call▁begin｜>type<｜tool▁sep｜>name⏎```json⏎arguments⏎```<｜tool▁call▁end｜>
//   tool       <｜tool▁output▁begin｜>content<｜tool▁output▁end｜>, a run of them joined by ⏎ after
//   a
//              <｜tool▁outputs▁begin｜>; an assistant message or the end of the prompt closes the
//              run with <｜tool▁outputs▁end｜>
//   end        with a generation prompt, <｜Assistant｜> unless the last message is a user's or a
//              tool's: the model continues right behind those. <think> is left to the model.
//
// Threads: immutable; every method may be called from any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"
#include "hadal/text/tokenizer.h"

namespace hadal {

enum class ChatRole { kSystem, kUser, kAssistant, kTool };

struct ToolCall {
  std::string type = "function";
  std::string name;
  // A JSON text, rendered as it is. A caller that holds an object writes it the way Python's
  // json.dumps(x, ensure_ascii=False) does, as in training: ", " and ": " between items.
  std::string arguments;
};

// What the formats render. A message's other fields (name, tool_call_id, the reasoning of earlier
// turns) are not part of a supported format.
struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string content = {};               // empty where the request says null
  std::vector<ToolCall> tool_calls = {};  // kAssistant only
};

// A control token, or text if `control` is kNoToken.
struct PromptSegment {
  TokenId control = kNoToken;
  std::string text = {};
};

enum class ChatFormatKind { kDeepseekR10528 };

// A name as users write it: "deepseek-r1-0528". kInvalidArgument: no such name; the sentence lists
// the names.
Result<ChatFormatKind> parse_chat_format_name(std::string_view name);

// Which known format a Jinja template states. It is judged by what it writes around each role, how
// it treats history and when it adds the generation prompt, not by its spelling: blanks, quotes,
// comments, names of variables and the way strings are joined do not matter
// (src/text/chat_template_features.h).
// kUnsupported: none; the sentence names what the template lacks and the supported formats.
Result<ChatFormatKind> recognise_chat_template(std::string_view chat_template);

class ChatFormat {
 public:
  // The format that the checkpoint's template states, or `override_kind` whatever that says.
  // kUnsupported: it is not recognised, or the tokenizer lacks one of the format's control tokens.
  // REQUIRES: `tokenizer` outlives this object.
  static Result<ChatFormat> create(const Tokenizer& tokenizer,
                                   std::optional<ChatFormatKind> override_kind = std::nullopt);

  // Adjacent texts are joined, because a piece may span them in the Hugging Face rendering too.
  std::vector<PromptSegment> render(std::span<const ChatMessage> messages,
                                    bool add_generation_prompt) const;

  // The tokens of a rendered prompt, BOS included. Errors: those of Tokenizer::encode().
  Result<std::vector<TokenId>> tokens(std::span<const PromptSegment> prompt) const;

  // The same prompt as text, for logs and tests.
  std::string text(std::span<const PromptSegment> prompt) const;

 private:
  ChatFormat(const Tokenizer& tokenizer, std::vector<TokenId> controls)
      : tokenizer_(&tokenizer), controls_(std::move(controls)) {}

  const Tokenizer* tokenizer_;
  std::vector<TokenId> controls_;  // by Control, see chat_format.cpp
};

}  // namespace hadal
