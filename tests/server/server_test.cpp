#include "hadal/server/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "server/server_fixture.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

// The data lines of an event stream.
std::vector<std::string> events_of(const std::string& body) {
  std::vector<std::string> events;
  size_t begin = 0;
  while (begin < body.size()) {
    const size_t end = body.find("\n\n", begin);
    EXPECT_NE(end, std::string::npos) << "an event without its blank line";
    const std::string event = body.substr(begin, end - begin);
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    events.push_back(event.substr(6));
    begin = end + 2;
  }
  return events;
}

class ServerTest : public ServerFixture {
 protected:
  // Posts on another thread while this one plays the engine.
  template <typename Play>
  httplib::Result exchange(const std::string& path, const std::string& body, Play play) {
    httplib::Result result;
    std::thread poster([&] { result = post(path, body); });
    play();
    poster.join();
    return result;
  }
};

TEST_F(ServerTest, AnswersWhileTheModelLoads) {
  start({}, false);
  server_->set_progress("reading weights", 0.5);
  EXPECT_EQ(client().Get("/health")->status, 200);
  EXPECT_EQ(client().Get("/version")->body, R"({"version":"1.2.3"})");
  const auto ready = client().Get("/ready");
  EXPECT_EQ(ready->status, 503);
  EXPECT_EQ(Json::parse(ready->body)["step"], "reading weights");
  EXPECT_EQ(Json::parse(ready->body)["progress"], 0.5);
  EXPECT_EQ(client().Get("/metrics")->status, 200);
  EXPECT_EQ(client().Get("/v1/models")->status, 503);
  const auto refused = post("/v1/chat/completions", kChatBody);
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(Json::parse(refused->body)["error"]["code"], "engine_loading");
  EXPECT_TRUE(refused->has_header("retry-after"));
  open();
  EXPECT_EQ(client().Get("/ready")->status, 200);
}

TEST_F(ServerTest, AnswersAChat) {
  start();
  const auto result = exchange("/v1/chat/completions", kChatBody, [&] {
    answer(engine_->submitted(0).first, "<think>\nadd\n</think>\n\n2");
  });
  ASSERT_TRUE(result);
  ASSERT_EQ(result->status, 200) << result->body;
  const Json body = Json::parse(result->body);
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

TEST_F(ServerTest, SubmitsWhatWasAsked) {
  start();
  const std::string body =
      R"({"prompt":[5,6,7],"max_tokens":9,"temperature":0.5,"top_k":3,"seed":-1,)"
      R"("stop_token_ids":[8],"ignore_eos":true,"cache_salt":"s"})";
  exchange("/v1/completions", body, [&] {
    const auto [id, request] = engine_->submitted(0);
    EXPECT_EQ(request.prompt, (std::vector<TokenId>{5, 6, 7}));
    EXPECT_EQ(request.sampling.max_tokens, 9);
    EXPECT_FLOAT_EQ(request.sampling.temperature, 0.5F);
    EXPECT_EQ(request.sampling.top_k, 3);
    EXPECT_EQ(request.sampling.seed, UINT64_MAX);
    EXPECT_EQ(request.sampling.stop_token_ids, std::vector<TokenId>{8});
    EXPECT_TRUE(request.sampling.ignore_eos);
    EXPECT_EQ(request.cache_salt, "s");
    answer(id, "x");
  });
}

TEST_F(ServerTest, AnUnboundedLengthIsWhatFits) {
  start();
  exchange("/v1/chat/completions", kChatBody, [&] {
    const auto [id, request] = engine_->submitted(0);
    EXPECT_EQ(request.sampling.max_tokens, 256 - static_cast<int>(request.prompt.size()));
    answer(id, "x");
  });
}

TEST_F(ServerTest, StreamsInOpenAisOrder) {
  start();
  const auto result = exchange("/v1/chat/completions", kStreamBody, [&] {
    answer(engine_->submitted(0).first, "<think>\nwhy\n</think>\n\nyes 🙂");
  });
  ASSERT_EQ(result->status, 200);
  EXPECT_EQ(result->get_header_value("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(result->get_header_value("Cache-Control"), "no-cache");
  auto events = events_of(result->body);
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

TEST_F(ServerTest, SeveralChoicesAndPromptsAreOrderedByPrompt) {
  start();
  const std::string body = R"({"prompt":["a","b"],"n":2,"max_tokens":4,"temperature":1})";
  const auto result = exchange("/v1/completions", body, [&] {
    for (size_t i = 0; i < 4; ++i) {
      const auto [id, request] = engine_->submitted(i);
      EXPECT_EQ(request.sampling.choice, i % 2);
      answer(id, "t" + std::to_string(i));
    }
  });
  const Json answer_body = Json::parse(result->body);
  ASSERT_EQ(answer_body["choices"].size(), 4U);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(answer_body["choices"][i]["index"], i);
    EXPECT_EQ(answer_body["choices"][i]["text"], "t" + std::to_string(i));
  }
  EXPECT_EQ(answer_body["usage"]["prompt_tokens"], 10);
}

TEST_F(ServerTest, AStopStringEndsTheRequestBeforeAnyWrite) {
  start();
  const std::string body =
      R"({"messages":[{"role":"user","content":"x"}],"stop":["WORLD"],"temperature":0})";
  const auto result = exchange("/v1/chat/completions", body, [&] {
    const RequestId id = engine_->submitted(0).first;
    engine_->emit(id, tokens_of("hello WORLD and more"));
    EXPECT_LE(engine_->finished_at(id), static_cast<int64_t>(tokens_of("hello WORLD").size()));
  });
  const Json choice = Json::parse(result->body)["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "hello ");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["stop_reason"], "WORLD");
}

TEST_F(ServerTest, EveryRouteHasItsErrorInJson) {
  start();
  const auto expect = [](const httplib::Result& result, int status, const std::string& code) {
    ASSERT_TRUE(result);
    EXPECT_EQ(result->status, status);
    EXPECT_EQ(Json::parse(result->body)["error"]["code"], code) << result->body;
    EXPECT_TRUE(result->has_header("x-request-id"));
  };
  expect(client().Get("/nope"), 404, "not_found");
  expect(client().Get("/v1/models/nope"), 404, "model_not_found");
  expect(client().Get("/v1/chat/completions"), 405, "method_not_allowed");
  expect(client().Delete("/health"), 405, "method_not_allowed");
  EXPECT_EQ(client().Get("/v1/completions")->get_header_value("Allow"), "POST");
  expect(post("/v1/chat/completions", kChatBody, "text/plain"), 415, "unsupported_media_type");
  expect(post("/v1/chat/completions", "{"), 400, "invalid_value");
  expect(post("/v1/chat/completions", R"({"model":"x"})"), 404, "model_not_found");
  const std::string too_long = std::string(5000, 'a') + std::string(5000, ' ');
  expect(post("/v1/completions", R"({"prompt":")" + too_long + "\"}"), 400,
         "context_length_exceeded");
}

TEST_F(ServerTest, ABodyAtTheLimitPassesAndOneMoreByteDoesNot) {
  constexpr size_t kLimit = 4096;
  start({.body_bytes_max = kLimit});
  const std::string head = R"({"prompt":[1],"max_tokens":1,"pad":")";
  const auto body_of = [&](size_t bytes) {
    return head + std::string(bytes - head.size() - 2, 'x') + "\"}";
  };
  const auto accepted = exchange("/v1/completions", body_of(kLimit),
                                 [&] { answer(engine_->submitted(0).first, "x"); });
  EXPECT_EQ(accepted->status, 200);
  const auto refused = post("/v1/completions", body_of(kLimit + 1));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 413);
  EXPECT_EQ(Json::parse(refused->body)["error"]["code"], "request_too_large");
}

TEST_F(ServerTest, RequestIdsAreEchoedOnlyIfClean) {
  start();
  const auto id_for = [&](const std::string& sent) {
    return client().Get("/health", {{"x-request-id", sent}})->get_header_value("x-request-id");
  };
  EXPECT_EQ(id_for("Abc-1._x"), "Abc-1._x");
  EXPECT_EQ(id_for(std::string(128, 'a')), std::string(128, 'a'));
  EXPECT_EQ(id_for(std::string(129, 'a')).size(), 32U);
  EXPECT_EQ(id_for("a b").size(), 32U);
  EXPECT_EQ(id_for("a:b").size(), 32U);
}

TEST_F(ServerTest, HealthAnswersWhileEveryStreamIsTaken) {
  start({.streams_max = 2, .connections_max = 8});
  std::vector<std::thread> streams;
  for (int i = 0; i < 2; ++i) {
    streams.emplace_back(
        [&] { EXPECT_EQ(post("/v1/chat/completions", kStreamBody)->status, 200); });
  }
  const RequestId first = engine_->submitted(0).first;
  const RequestId second = engine_->submitted(1).first;
  const auto refused = post("/v1/chat/completions", kStreamBody);
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(Json::parse(refused->body)["error"]["type"], "rate_limit_error");
  EXPECT_TRUE(refused->has_header("retry-after"));
  EXPECT_EQ(client().Get("/health")->status, 200);
  answer(first, "x");
  answer(second, "y");
  for (std::thread& stream : streams) stream.join();
}

TEST_F(ServerTest, TheEnginesRefusalsKeepTheirMeaning) {
  start();
  engine_->refuse(Error{ErrorCode::kResourceExhausted, "the queue is full"});
  EXPECT_EQ(post("/v1/chat/completions", kChatBody)->status, 429);
  engine_->refuse(Error{ErrorCode::kTooLarge, "prompt 5 + max_tokens 9 over 10"});
  const auto too_large = post("/v1/chat/completions", kChatBody);
  EXPECT_EQ(too_large->status, 400);
  EXPECT_EQ(Json::parse(too_large->body)["error"]["param"], "messages");
  engine_->refuse(Error{ErrorCode::kUnavailable, "stopped"});
  EXPECT_EQ(post("/v1/chat/completions", kChatBody)->status, 503);
}

TEST_F(ServerTest, AFailureBeforeTheFirstTokenHasAStatusAndAfterItAnEvent) {
  start();
  const Error failure{ErrorCode::kDevice, "gone"};
  const auto early = exchange("/v1/chat/completions", kStreamBody, [&] {
    engine_->end(engine_->submitted(0).first, FinishReason::kError, 0, failure);
  });
  EXPECT_EQ(early->status, 500);
  const auto late = exchange("/v1/chat/completions", kStreamBody, [&] {
    const RequestId id = engine_->submitted(1).first;
    engine_->emit(id, tokens_of("some text"));
    engine_->end(id, FinishReason::kError, 2, failure);
  });
  // The first text and the failure may have come together; then there is a status here too.
  if (late->status == 200) {
    const auto events = events_of(late->body);
    ASSERT_GE(events.size(), 2U);
    EXPECT_EQ(events.back(), "[DONE]");
    EXPECT_EQ(Json::parse(events[events.size() - 2])["error"]["code"], "internal_error");
  } else {
    EXPECT_EQ(late->status, 500);
  }
}

TEST_F(ServerTest, AClientThatLeavesCancelsItsStream) {
  start();
  httplib::Client leaving = client();
  std::thread reader([&] {
    leaving.Post("/v1/chat/completions", httplib::Headers{}, kStreamBody, "application/json",
                 [](const char*, size_t) { return false; });
  });
  const RequestId id = engine_->submitted(0).first;
  engine_->emit(id, tokens_of("hello there"));
  reader.join();
  EXPECT_TRUE(engine_->wait_until_all_ended());
  EXPECT_TRUE(engine_->was_cancelled(id));
}

TEST_F(ServerTest, AClientThatLeavesCancelsAPlainRequestToo) {
  start();
  httplib::Client leaving = client();
  std::thread reader([&] { leaving.Post("/v1/chat/completions", kChatBody, "application/json"); });
  const RequestId id = engine_->submitted(0).first;
  leaving.stop();
  reader.join();
  EXPECT_TRUE(engine_->wait_until_all_ended());
  EXPECT_TRUE(engine_->was_cancelled(id));
}

TEST_F(ServerTest, DrainingFinishesWhatRunsAndRefusesWhatComes) {
  start();
  const auto result = exchange("/v1/chat/completions", kStreamBody, [&] {
    const RequestId id = engine_->submitted(0).first;
    server_->begin_drain();
    const auto refused = post("/v1/chat/completions", kChatBody);
    EXPECT_EQ(refused->status, 503);
    EXPECT_EQ(Json::parse(refused->body)["error"]["code"], "engine_draining");
    EXPECT_EQ(client().Get("/ready")->status, 503);
    EXPECT_EQ(client().Get("/health")->status, 200);
    answer(id, "done");
  });
  EXPECT_EQ(result->status, 200);
  EXPECT_THAT(result->body, HasSubstr("[DONE]"));
}

TEST_F(ServerTest, AFailedEngineTurnsHealthOff) {
  start();
  server_->set_failed();
  EXPECT_EQ(client().Get("/health")->status, 503);
  EXPECT_EQ(post("/v1/chat/completions", kChatBody)->status, 503);
}

TEST_F(ServerTest, ASecondServerOnThePortIsRefusedByName) {
  start();
  const auto second =
      Server::listen({.host = "127.0.0.1", .port = server_->port(), .model_names = {"x"}}, clock_);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(server_->port())));
  EXPECT_THAT(second.error().message, HasSubstr("in use"));
}

TEST_F(ServerTest, MetricsHaveVllmsNames) {
  start();
  exchange("/v1/chat/completions", kChatBody,
           [&] { answer(engine_->submitted(0).first, "hello"); });
  const auto page = client().Get("/metrics");
  for (const char* line :
       {"vllm:spec_decode_num_drafts_total{model_name=\"tiny\",engine=\"0\"} 3\n",
        "vllm:num_requests_running{model_name=\"tiny\",engine=\"0\"} 0\n",
        "vllm:time_to_first_token_seconds_count{model_name=\"tiny\",engine=\"0\"} 1\n",
        "vllm:e2e_request_latency_seconds_count{model_name=\"tiny\",engine=\"0\"} 1\n",
        "process_resident_memory_bytes{"}) {
    EXPECT_THAT(page->body, HasSubstr(line));
  }
}

TEST_F(ServerTest, ModelsAreListedUnderAllNames) {
  start();
  const Json list = Json::parse(client().Get("/v1/models")->body);
  ASSERT_EQ(list["data"].size(), 2U);
  EXPECT_EQ(list["data"][0]["id"], "tiny");
  EXPECT_EQ(list["data"][0]["max_model_len"], 256);
  EXPECT_EQ(Json::parse(client().Get("/v1/models/alias")->body)["id"], "alias");
}

TEST_F(ServerTest, KeepAliveServesManyRequestsOnOneConnection) {
  start();
  httplib::Client one = client();
  one.set_keep_alive(true);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(one.Get("/health")->status, 200) << i;
  EXPECT_EQ(one.Head("/health")->status, 200);
}

}  // namespace
}  // namespace hadal
