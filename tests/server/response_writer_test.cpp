#include "server/response_writer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace hadal {
namespace {

using Json = nlohmann::json;

ResponseWriter::Options options(Endpoint endpoint) {
  return {.endpoint = endpoint,
          .id = "1",
          .model = "m",
          .system_fingerprint = "hadal-0",
          .created_unix_s = 5,
          .prompt_tokens = {3}};
}

ChoiceEnd length_end() {
  return {.reason = FinishReason::kLength, .usage = {.prompt_tokens = 3, .completion_tokens = 4}};
}

std::vector<Json> events(const std::string& stream) {
  std::vector<Json> parsed;
  for (size_t begin = 0; begin < stream.size();) {
    const size_t end = stream.find("\n\n", begin);
    parsed.push_back(Json::parse(stream.substr(begin + 6, end - begin - 6)));
    begin = end + 2;
  }
  return parsed;
}

TEST(ResponseWriter, TheRoleComesOnceAndFirst) {
  ResponseWriter writer(options(Endpoint::kChat));
  std::string out;
  writer.append_update(out, {.content = "a\"b\n"});
  writer.append_update(out, {.content = "c", .end = length_end()});
  const auto list = events(out);
  ASSERT_EQ(list.size(), 4U);
  EXPECT_EQ(list[0]["choices"][0]["delta"], Json({{"role", "assistant"}, {"content", ""}}));
  EXPECT_EQ(list[1]["choices"][0]["delta"], Json({{"content", "a\"b\n"}}));
  EXPECT_TRUE(list[2]["choices"][0]["finish_reason"].is_null());
  EXPECT_EQ(list[3]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(list[3]["choices"][0]["delta"], Json::object());
  for (const Json& event : list) {
    EXPECT_EQ(event["id"], "chatcmpl-1");
    EXPECT_EQ(event["object"], "chat.completion.chunk");
    EXPECT_EQ(event["created"], 5);
  }
}

TEST(ResponseWriter, ReasoningHasBothNamesAndCanBeLeftOut) {
  ResponseWriter with(options(Endpoint::kChat));
  std::string out;
  with.append_update(out, {.reasoning = "r", .content = "c"});
  EXPECT_EQ(events(out)[1]["choices"][0]["delta"],
            Json({{"reasoning_content", "r"}, {"reasoning", "r"}, {"content", "c"}}));

  auto without_options = options(Endpoint::kChat);
  without_options.include_reasoning = false;
  ResponseWriter without(without_options);
  out.clear();
  without.append_update(out, {.reasoning = "r"});
  EXPECT_EQ(events(out).size(), 1U) << "the role only";
}

TEST(ResponseWriter, CompletionsCarryText) {
  ResponseWriter writer(options(Endpoint::kCompletions));
  std::string out;
  writer.append_update(out, {.content = "x", .end = length_end()});
  const auto list = events(out);
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0]["object"], "text_completion");
  EXPECT_EQ(list[0]["choices"][0]["text"], "x");
  EXPECT_EQ(list[1]["choices"][0]["text"], "");
}

TEST(ResponseWriter, StopReasonsAreTextTokenOrNull) {
  const auto stop_reason = [](auto value) {
    ChoiceEnd end;
    end.stop_reason = value;
    const FinishedChoice choice{.content = "x", .end = end};
    return Json::parse(
        ResponseWriter(options(Endpoint::kChat)).body({&choice, 1}))["choices"][0]["stop_reason"];
  };
  EXPECT_EQ(stop_reason(std::string("END")), "END");
  EXPECT_EQ(stop_reason(TokenId{7}), 7);
  EXPECT_TRUE(stop_reason(std::monostate{}).is_null());
}

TEST(ResponseWriter, ChoicesOfOnePromptShareItsTokens) {
  auto two = options(Endpoint::kChat);
  two.choices_per_prompt = 2;
  const FinishedChoice choices[] = {{.content = "a", .end = length_end()},
                                    {.content = "b", .end = length_end()}};
  const Json body = Json::parse(ResponseWriter(two).body(choices));
  EXPECT_EQ(body["usage"]["prompt_tokens"], 3);
  EXPECT_EQ(body["usage"]["completion_tokens"], 8);
  EXPECT_EQ(body["usage"]["total_tokens"], 11);
}

TEST(ResponseWriter, AnAnswerCutOffInItsReasoningHasNullContent) {
  const FinishedChoice choice{.reasoning = "hm", .end = length_end()};
  const Json body = Json::parse(ResponseWriter(options(Endpoint::kChat)).body({&choice, 1}));
  EXPECT_TRUE(body["choices"][0]["message"]["content"].is_null());
  EXPECT_EQ(body["choices"][0]["message"]["reasoning_content"], "hm");
}

TEST(ResponseWriter, ContinuousUsageIsInEveryEvent) {
  auto continuous = options(Endpoint::kChat);
  continuous.continuous_usage_stats = true;
  ResponseWriter writer(continuous);
  std::string out;
  writer.append_update(out, {.content = "x", .completion_tokens = 2});
  EXPECT_EQ(events(out).back()["usage"]["total_tokens"], 5);
}

TEST(ResponseWriter, UsageErrorAndEndEvents) {
  const ChoiceEnd end = length_end();
  std::string out;
  ResponseWriter(options(Endpoint::kChat)).append_usage(out, {&end, 1});
  EXPECT_EQ(events(out)[0]["usage"]["completion_tokens"], 4);
  EXPECT_TRUE(events(out)[0]["choices"].empty());
  out.clear();
  ResponseWriter::append_error(out, {.message = "m"});
  EXPECT_EQ(events(out)[0]["error"]["message"], "m");
  out.clear();
  ResponseWriter::append_done(out);
  EXPECT_EQ(out, "data: [DONE]\n\n");
}

}  // namespace
}  // namespace hadal
