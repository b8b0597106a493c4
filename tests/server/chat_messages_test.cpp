#include "server/chat_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hadal {
namespace {

using ::testing::HasSubstr;

// The error's param, or "accepted".
std::string refused_at(const Json& messages) {
  const auto parsed = parse_chat_messages(messages.is_null() ? nullptr : &messages);
  return parsed.ok() ? "accepted" : parsed.error().param;
}

TEST(ChatMessages, ErrorsNameTheElement) {
  EXPECT_EQ(refused_at(nullptr), "messages");
  EXPECT_EQ(refused_at("hi"), "messages");
  EXPECT_EQ(refused_at(Json::array()), "messages");
  EXPECT_EQ(refused_at({3}), "messages[0]");
  EXPECT_EQ(refused_at({{{"content", "x"}}}), "messages[0].role");
  EXPECT_EQ(refused_at({{{"role", "robot"}, {"content", "x"}}}), "messages[0].role");
  EXPECT_EQ(refused_at({{{"role", "user"}}}), "messages[0].content");
  EXPECT_EQ(refused_at({{{"role", "user"}, {"content", 5}}}), "messages[0].content");
  const Json calls = {{"role", "assistant"}, {"tool_calls", {{{"function", {{"x", 1}}}}}}};
  EXPECT_EQ(refused_at(Json::array({calls})), "messages[0].tool_calls[0].function.name");
}

TEST(ChatMessages, ARoleIsQuotedSafely) {
  const Json messages = {{{"role", "a\nb"}, {"content", "x"}}};
  EXPECT_THAT(parse_chat_messages(&messages).error().message, HasSubstr("a\\u000ab"));
}

TEST(ChatMessages, ContentMayBeTextParts) {
  const Json parts = {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}};
  const Json messages = {{{"role", "developer"}, {"content", parts}}};
  const auto parsed = parse_chat_messages(&messages);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed.value()[0].role, ChatRole::kSystem);
  EXPECT_EQ(parsed.value()[0].content, "ab");
}

TEST(ChatMessages, OtherPartsAreRefusedByTheirIndex) {
  const Json image = {{"role", "user"},
                      {"content", {{{"type", "text"}, {"text", "a"}}, {{"type", "image_url"}}}}};
  const Json messages = Json::array({image});
  const auto parsed = parse_chat_messages(&messages);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(parsed.error().param, "messages[0].content[1]");
}

TEST(ChatMessages, ToolTurnsKeepTheirCallsAndResults) {
  const Json call = {{"type", "function"},
                     {"function", {{"name", "f"}, {"arguments", R"({"city": "Rabat"})"}}}};
  const Json messages = {{{"role", "assistant"}, {"content", nullptr}, {"tool_calls", {call}}},
                         {{"role", "tool"}, {"content", "18C"}}};
  const auto parsed = parse_chat_messages(&messages);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed.value()[0].content, "");
  EXPECT_EQ(parsed.value()[0].tool_calls[0].name, "f");
  EXPECT_EQ(parsed.value()[0].tool_calls[0].arguments, R"({"city": "Rabat"})");
  EXPECT_EQ(parsed.value()[1].role, ChatRole::kTool);
  EXPECT_EQ(refused_at({{{"role", "user"}, {"content", "x"}, {"tool_calls", {call}}}}),
            "messages[0].tool_calls");
}

}  // namespace
}  // namespace hadal
