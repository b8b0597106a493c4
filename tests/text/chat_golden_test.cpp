// tests/golden/chat_template.json: prompts rendered by the Hugging Face template and tokenised by
// the tokenizers library, which parses special tokens wherever their text occurs.
#include <gtest/gtest.h>

#include <algorithm>

#include "hadal/text/chat_format.h"
#include "text/tokenizer_files.h"

namespace hadal {
namespace {

using nlohmann::json;

// Python's json.dumps(value, ensure_ascii=False).
std::string python_dump(const json& value) {
  std::string text;
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      text += (text.empty() ? "" : ", ") + json(key).dump() + ": " + python_dump(item);
    }
    return "{" + text + "}";
  }
  if (value.is_array()) {
    for (const json& item : value) text += (text.empty() ? "" : ", ") + python_dump(item);
    return "[" + text + "]";
  }
  return value.dump();
}

ChatRole role_of(const std::string& name) {
  if (name == "system") return ChatRole::kSystem;
  if (name == "user") return ChatRole::kUser;
  return name == "tool" ? ChatRole::kTool : ChatRole::kAssistant;
}

ChatMessage message_of(const json& value) {
  ChatMessage message{.role = role_of(value["role"])};
  if (!value["content"].is_null()) message.content = value["content"].get<std::string>();
  for (const json& call : value.value("tool_calls", json::array())) {
    const json& arguments = call["function"]["arguments"];
    message.tool_calls.push_back({.type = call["type"],
                                  .name = call["function"]["name"],
                                  .arguments = arguments.is_string() ? arguments.get<std::string>()
                                                                     : python_dump(arguments)});
  }
  return message;
}

// Whether a message's own text spells an added token. Its ids must then differ from the golden
// ones: there the user's text became a control token, here it stays text.
bool spells_an_added_token(const std::vector<PromptSegment>& prompt) {
  const EncodeOptions parse = {.parse_special = true};
  return std::ranges::any_of(prompt, [&](const PromptSegment& segment) {
    const auto ids = test::tiny_r1().encode(segment.text, parse).value();
    return std::ranges::any_of(ids, [](TokenId id) { return test::tiny_r1().is_added(id); });
  });
}

TEST(ChatGolden, RendersEveryChatAsTheTemplateDoes) {
  const Tokenizer& tokenizer = test::tiny_r1();
  const ChatFormat format = ChatFormat::create(tokenizer).value();
  const json golden = test::read_json("tests/golden/chat_template.json");
  ASSERT_EQ(golden["cases"].size(), 52u);
  size_t marked = 0;
  for (const json& chat : golden["cases"]) {
    SCOPED_TRACE(chat["name"].get<std::string>());
    std::vector<ChatMessage> messages;
    for (const json& message : chat["messages"]) messages.push_back(message_of(message));
    const auto prompt = format.render(messages, chat["add_generation_prompt"].get<bool>());
    EXPECT_EQ(format.text(prompt), chat["text"].get<std::string>());

    const auto tokens = format.tokens(prompt).value();
    const auto want = chat["ids"].get<std::vector<TokenId>>();
    if (!spells_an_added_token(prompt)) {
      EXPECT_EQ(tokens, want);
      continue;
    }
    ++marked;
    EXPECT_NE(tokens, want);
    std::string bytes;
    for (const TokenId id : tokens) bytes += tokenizer.token_bytes(id);
    EXPECT_EQ(bytes, chat["text"].get<std::string>());
  }
  EXPECT_EQ(marked, 2u);  // "<think>user text</think>", with and without generation prompt
}

}  // namespace
}  // namespace hadal
