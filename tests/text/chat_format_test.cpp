#include "hadal/text/chat_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "text/tokenizer_files.h"

namespace hadal {
namespace {

using testing::HasSubstr;
using Ids = std::vector<TokenId>;

const ChatFormat& format() {
  static const ChatFormat chat_format = ChatFormat::create(test::tiny_r1()).value();
  return chat_format;
}

std::string rendered(const std::vector<ChatMessage>& messages, bool add_generation_prompt = true) {
  return format().text(format().render(messages, add_generation_prompt));
}

Ids control_ids(const std::vector<PromptSegment>& prompt) {
  Ids ids;
  for (const PromptSegment& segment : prompt) {
    if (segment.control != kNoToken) ids.push_back(segment.control);
  }
  return ids;
}

Ids added_ids(const Ids& tokens) {
  Ids ids;
  std::ranges::copy_if(tokens, std::back_inserter(ids),
                       [](TokenId id) { return test::tiny_r1().is_added(id); });
  return ids;
}

TEST(ChatFormat, RendersNothingButTheFormForNoMessages) {
  EXPECT_EQ(rendered({}), "<｜begin▁of▁sentence｜><｜Assistant｜>");
  EXPECT_EQ(rendered({}, false), "<｜begin▁of▁sentence｜>");
}

TEST(ChatFormat, SystemMessagesComeFirstWhereverTheyStand) {
  EXPECT_EQ(rendered({{.role = ChatRole::kUser, .content = "u"},
                      {.role = ChatRole::kSystem, .content = "s"},
                      {.role = ChatRole::kSystem, .content = ""}}),
            "<｜begin▁of▁sentence｜>s\n\n<｜User｜>u<｜Assistant｜>");
}

TEST(ChatFormat, ReasoningOfEarlierTurnsIsNotShown) {
  EXPECT_EQ(rendered({{.role = ChatRole::kAssistant, .content = "a</think>b</think>\nc"}}, false),
            "<｜begin▁of▁sentence｜>\nc<｜end▁of▁sentence｜>");
}

TEST(ChatFormat, TwoRoundsOfToolsEachHaveTheirOwnBlock) {
  const ChatMessage call = {.role = ChatRole::kAssistant,
                            .tool_calls = {{.name = "f", .arguments = "{}"}}};
  const ChatMessage result = {.role = ChatRole::kTool, .content = "1"};
  const std::string call_text =
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```"
      "<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>";
  const std::string result_text =
      "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>1<｜tool▁output▁end｜><｜tool▁outputs▁end｜>";
  EXPECT_EQ(rendered({call, result, call, result}),
            "<｜begin▁of▁sentence｜>" + call_text + result_text + call_text + result_text);
}

// Every added token's text, in every place that a client fills: the prompt's control tokens are
// those of the same chat with harmless text, and no other added token appears. (Of a system message
// see below.)
TEST(ChatFormat, SpecialTokenTextInAnyFieldStaysText) {
  const auto chat = [](const std::string& x) {
    return std::vector<ChatMessage>{
        {.role = ChatRole::kUser, .content = "a" + x},
        {.role = ChatRole::kAssistant,
         .content = x + "b",
         .tool_calls = {{.type = x, .name = x, .arguments = "{\"k\": \"" + x + "\"}"},
                        {.name = x + x, .arguments = x}}},
        {.role = ChatRole::kTool, .content = x},
        {.role = ChatRole::kTool, .content = x + "\n" + x},
        {.role = ChatRole::kAssistant, .content = x},
        {.role = ChatRole::kUser, .content = x}};
  };
  const Ids want = control_ids(format().render(chat("harmless"), true));
  ASSERT_GT(want.size(), 20u);
  std::string all;
  for (TokenId id = 0; id < test::tiny_r1().vocab_size(); ++id) {
    if (!test::tiny_r1().is_added(id)) continue;
    const std::string token(test::tiny_r1().token_bytes(id));
    all += token;
    const auto prompt = format().render(chat(token), true);
    EXPECT_EQ(control_ids(prompt), want) << token;
    EXPECT_EQ(added_ids(format().tokens(prompt).value()), want) << token;
  }
  EXPECT_EQ(added_ids(format().tokens(format().render(chat(all), true)).value()), want);
}

TEST(ChatFormat, ASystemMessageMayShowTheToolTokensAndNoOthers) {
  std::string all;
  Ids tool_ids;
  for (TokenId id = 0; id < test::tiny_r1().vocab_size(); ++id) {
    if (!test::tiny_r1().is_added(id)) continue;
    const std::string token(test::tiny_r1().token_bytes(id));
    all += "x" + token;
    if (token.starts_with("<｜tool▁")) tool_ids.push_back(id);
  }
  ASSERT_EQ(tool_ids.size(), 9u);
  const std::vector<ChatMessage> chat = {{.role = ChatRole::kSystem, .content = all}};
  const auto prompt = format().render(chat, false);
  Ids want = {test::tiny_r1().bos_id()};
  want.insert(want.end(), tool_ids.begin(), tool_ids.end());
  EXPECT_EQ(added_ids(format().tokens(prompt).value()), want);
  EXPECT_EQ(format().text(prompt), "<｜begin▁of▁sentence｜>" + all);
}

// A prompt that explains calls gives the ids that the model was trained on.
TEST(ChatFormat, ToolTokensOfASystemMessageAreThoseOfTheTemplate) {
  const std::string content =
      "Format of a call:\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n"
      "```json\nARGUMENTS\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
  const std::vector<ChatMessage> chat = {{.role = ChatRole::kSystem, .content = content}};
  const Ids want =
      test::tiny_r1().encode("<｜begin▁of▁sentence｜>" + content, {.parse_special = true}).value();
  EXPECT_EQ(format().tokens(format().render(chat, false)).value(), want);
}

TEST(ChatFormat, BadUtf8IsRefused) {
  const auto prompt = format().render(std::vector<ChatMessage>{{.content = "\xff"}}, true);
  const auto tokens = format().tokens(prompt);
  ASSERT_FALSE(tokens.ok());
  EXPECT_EQ(tokens.error().code, ErrorCode::kInvalidArgument);
}

TEST(ChatFormat, ATokenizerWithoutTheControlTokensIsRefused) {
  const Tokenizer tokenizer = Tokenizer::parse(test::files_of(test::bytes_only_json())).value();
  const auto by_template = ChatFormat::create(tokenizer);
  ASSERT_FALSE(by_template.ok());
  EXPECT_THAT(by_template.error().message, HasSubstr("no chat template"));
  const auto by_name = ChatFormat::create(tokenizer, ChatFormatKind::kDeepseekR10528);
  ASSERT_FALSE(by_name.ok());
  EXPECT_EQ(by_name.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(by_name.error().message, HasSubstr("added_tokens lacks <｜User｜>"));
}

TEST(ChatFormat, AnOverrideReplacesTheTemplate) {
  TokenizerFiles files = test::tiny_r1_files();
  files.chat_template_jinja = "{{ messages }}";
  const Tokenizer tokenizer = Tokenizer::parse(files).value();
  EXPECT_FALSE(ChatFormat::create(tokenizer).ok());
  EXPECT_TRUE(ChatFormat::create(tokenizer, ChatFormatKind::kDeepseekR10528).ok());
}

TEST(ChatFormat, NamesAreParsed) {
  EXPECT_EQ(parse_chat_format_name("deepseek-r1-0528").value(), ChatFormatKind::kDeepseekR10528);
  const auto unknown = parse_chat_format_name("chatml");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message, HasSubstr("supported: deepseek-r1-0528"));
}

}  // namespace
}  // namespace hadal
