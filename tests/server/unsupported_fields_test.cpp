#include "server/unsupported_fields.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

Status check(bool is_chat, const Json& body) {
  return refuse_unsupported_fields(is_chat, JsonFields(body, ""));
}

TEST(UnsupportedFields, TheOffValuePassesAndAnyOtherIsNamed) {
  const std::tuple<const char*, Json, Json> cases[] = {
      {"presence_penalty", 0, 0.5},
      {"repetition_penalty", 1.0, 1.1},
      {"logprobs", false, true},
      {"tools", Json::array(), {{{"type", "function"}}}},
      {"tool_choice", "none", "required"},
      {"response_format", {{"type", "text"}}, {{"type", "json_object"}}},
      {"logit_bias", Json::object(), {{"5", 1}}},
      {"reasoning_effort", "high", "none"},
      {"echo", false, true},
      {"add_generation_prompt", true, false},
      {"continue_final_message", false, true},
  };
  for (const auto& [name, off, on] : cases) {
    EXPECT_TRUE(check(true, {{name, off}}).ok()) << name;
    EXPECT_TRUE(check(true, {{name, nullptr}}).ok()) << name;
    const Status refused = check(true, {{name, on}});
    ASSERT_FALSE(refused.ok()) << name;
    EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
    EXPECT_EQ(refused.error().param, name);
  }
}

TEST(UnsupportedFields, AValueOfTheWrongTypeIsNotOff) {
  EXPECT_FALSE(check(true, {{"echo", 0}}).ok());
  EXPECT_FALSE(check(true, {{"presence_penalty", false}}).ok());
  EXPECT_FALSE(check(true, {{"response_format", "text"}}).ok());
}

TEST(UnsupportedFields, SomeHaveNoOffValue) {
  EXPECT_FALSE(check(true, {{"chat_template", "{{ x }}"}}).ok());
  EXPECT_FALSE(check(false, {{"logprobs", 0}}).ok());
  EXPECT_FALSE(check(false, {{"prompt_embeds", "x"}}).ok());
}

TEST(UnsupportedFields, TheTablesBelongToTheirEndpoint) {
  EXPECT_TRUE(check(false, {{"tools", {1}}}).ok());
  EXPECT_FALSE(check(false, {{"suffix", "x"}}).ok());
  EXPECT_TRUE(check(true, {{"suffix", "x"}}).ok());
}

TEST(UnsupportedFields, InertAndUnknownFieldsPass) {
  EXPECT_TRUE(check(true, {{"user", "u"}, {"metadata", {{"a", 1}}}, {"frobnicate", 3}}).ok());
}

}  // namespace
}  // namespace hadal
