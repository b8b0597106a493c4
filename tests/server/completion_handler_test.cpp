#include "server/completion_handler.h"

#include <gtest/gtest.h>

#include <thread>

#include "server/server_fixture.h"

namespace hadal {
namespace {

using CompletionHandlerTest = ServerFixture;

TEST_F(CompletionHandlerTest, AnswersAChat) {
  start();
  const auto result = exchange("/v1/chat/completions", kChatBody, [&] {
    answer(engine_->submitted(0).first, "<think>\nadd\n</think>\n\n2");
  });
  ASSERT_EQ(result.status, 200) << result.body;
  const Json body = result.json();
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "tiny");
  const Json message = body["choices"][0]["message"];
  EXPECT_EQ(message["role"], "assistant");
  EXPECT_EQ(message["content"], "2");
  EXPECT_EQ(message["reasoning_content"], "add\n");
  EXPECT_EQ(message["reasoning"], message["reasoning_content"]);
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(body["choices"][0]["stop_reason"].is_null());
  EXPECT_EQ(body["usage"]["prompt_tokens"], 5);
}

TEST_F(CompletionHandlerTest, StreamsInOpenAisOrder) {
  start();
  const auto result = exchange("/v1/chat/completions", kStreamBody, [&] {
    answer(engine_->submitted(0).first, "<think>\nwhy\n</think>\n\nyes 🙂");
  });
  ASSERT_EQ(result.status, 200);
  EXPECT_EQ(result.header("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(result.header("cache-control"), "no-cache");
  auto events = events_of(result.body);
  ASSERT_GE(events.size(), 5U);
  EXPECT_EQ(events.back(), "[DONE]");
  events.pop_back();
  const Json usage = Json::parse(events.back());
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_EQ(usage["usage"]["prompt_tokens"], 5);
  events.pop_back();
  EXPECT_EQ(Json::parse(events.front())["choices"][0]["delta"]["role"], "assistant");
  const Json last = Json::parse(events.back());
  EXPECT_EQ(last["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(last["choices"][0]["delta"].empty());
  std::string content;
  std::string reasoning;
  for (const std::string& event : events) {
    const Json delta = Json::parse(event)["choices"][0]["delta"];
    content += delta.value("content", "");
    reasoning += delta.value("reasoning_content", "");
  }
  EXPECT_EQ(content, "yes 🙂");
  EXPECT_EQ(reasoning, "why\n");
}

TEST_F(CompletionHandlerTest, HealthAnswersWhileEveryStreamIsTaken) {
  start({.streams_max = 2, .connections_max = 8});
  std::vector<std::thread> streams;
  for (int i = 0; i < 2; ++i) {
    streams.emplace_back([&] { EXPECT_EQ(post("/v1/chat/completions", kStreamBody).status, 200); });
  }
  const RequestId first = engine_->submitted(0).first;
  const RequestId second = engine_->submitted(1).first;
  const auto refused = post("/v1/chat/completions", kStreamBody);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.json()["error"]["type"], "rate_limit_error");
  EXPECT_FALSE(refused.header("retry-after").empty());
  EXPECT_EQ(get("/health").status, 200);
  answer(first, "x");
  answer(second, "y");
  for (std::thread& stream : streams) stream.join();
}

}  // namespace
}  // namespace hadal
