#include "server/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/server_fixture.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;
using RoutesTest = ServerFixture;

TEST_F(RoutesTest, EveryRouteHasItsErrorInJson) {
  start();
  const auto expect = [](const HttpAnswer& result, int status, const std::string& code) {
    EXPECT_EQ(result.status, status);
    EXPECT_EQ(result.json()["error"]["code"], code) << result.body;
    EXPECT_FALSE(result.header("x-request-id").empty());
  };
  expect(get("/nope"), 404, "not_found");
  expect(get("/v1/models/nope"), 404, "model_not_found");
  expect(get("/v1/chat/completions"), 405, "method_not_allowed");
  expect(request("DELETE", "/health"), 405, "method_not_allowed");
  EXPECT_EQ(get("/v1/completions").header("allow"), "POST");
  expect(post("/v1/chat/completions", kChatBody, "text/plain"), 415, "unsupported_media_type");
  expect(post("/v1/chat/completions", "{"), 400, "invalid_value");
  expect(post("/v1/chat/completions", R"({"model":"x"})"), 404, "model_not_found");
  const std::string too_long = std::string(5000, 'a') + std::string(5000, ' ');
  expect(post("/v1/completions", R"({"prompt":")" + too_long + "\"}"), 400,
         "context_length_exceeded");
}

TEST_F(RoutesTest, ABodyAtTheLimitPassesAndOneMoreByteDoesNot) {
  constexpr size_t kLimit = 4096;
  start({.body_bytes_max = kLimit});
  const std::string head = R"({"prompt":[1],"max_tokens":1,"pad":")";
  const auto body_of = [&](size_t bytes) {
    return head + std::string(bytes - head.size() - 2, 'x') + "\"}";
  };
  const auto accepted = exchange("/v1/completions", body_of(kLimit),
                                 [&] { answer(engine_->submitted(0).first, "x"); });
  EXPECT_EQ(accepted.status, 200);
  const auto refused = post("/v1/completions", body_of(kLimit + 1));
  EXPECT_EQ(refused.status, 413);
  EXPECT_EQ(refused.json()["error"]["code"], "request_too_large");
}

TEST_F(RoutesTest, RequestIdsAreEchoedOnlyIfClean) {
  start();
  const auto id_for = [&](const std::string& sent) {
    return get("/health", {{"x-request-id", sent}}).header("x-request-id");
  };
  EXPECT_EQ(id_for("Abc-1._x"), "Abc-1._x");
  EXPECT_EQ(id_for(std::string(128, 'a')), std::string(128, 'a'));
  EXPECT_EQ(id_for(std::string(129, 'a')).size(), 32U);
  EXPECT_EQ(id_for("a b").size(), 32U);
  EXPECT_EQ(id_for("a:b").size(), 32U);
}

TEST_F(RoutesTest, ModelsAreListedUnderAllNames) {
  start();
  const Json list = get("/v1/models").json();
  ASSERT_EQ(list["data"].size(), 2U);
  EXPECT_EQ(list["data"][0]["id"], "tiny");
  EXPECT_EQ(list["data"][0]["max_model_len"], 256);
  EXPECT_EQ(get("/v1/models/alias").json()["id"], "alias");
}

TEST_F(RoutesTest, MetricsHaveVllmsNames) {
  start();
  exchange("/v1/chat/completions", kChatBody,
           [&] { answer(engine_->submitted(0).first, "hello"); });
  const auto page = get("/metrics");
  for (const char* line :
       {"vllm:spec_decode_num_drafts_total{model_name=\"tiny\",engine=\"0\"} 3\n",
        "vllm:num_requests_running{model_name=\"tiny\",engine=\"0\"} 0\n",
        "vllm:time_to_first_token_seconds_count{model_name=\"tiny\",engine=\"0\"} 1\n",
        "vllm:e2e_request_latency_seconds_count{model_name=\"tiny\",engine=\"0\"} 1\n",
        "process_resident_memory_bytes{"}) {
    EXPECT_THAT(page.body, HasSubstr(line));
  }
}

}  // namespace
}  // namespace hadal
