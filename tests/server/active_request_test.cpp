#include "server/active_request.h"

#include <gtest/gtest.h>

#include "server/server_fixture.h"

namespace hadal {
namespace {

using ActiveRequestTest = ServerFixture;

TEST_F(ActiveRequestTest, SubmitsWhatWasAsked) {
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

TEST_F(ActiveRequestTest, AnUnboundedLengthIsWhatFits) {
  start();
  exchange("/v1/chat/completions", kChatBody, [&] {
    const auto [id, request] = engine_->submitted(0);
    EXPECT_EQ(request.sampling.max_tokens, 256 - static_cast<int>(request.prompt.size()));
    answer(id, "x");
  });
}

TEST_F(ActiveRequestTest, SeveralChoicesAndPromptsAreOrderedByPrompt) {
  start();
  const std::string body = R"({"prompt":["a","b"],"n":2,"max_tokens":4,"temperature":1})";
  const auto result = exchange("/v1/completions", body, [&] {
    for (size_t i = 0; i < 4; ++i) {
      const auto [id, request] = engine_->submitted(i);
      EXPECT_EQ(request.sampling.choice, i % 2);
      EXPECT_EQ(request.leader, i % 2 == 0 ? RequestId{} : engine_->submitted(i - 1).first);
      answer(id, "t" + std::to_string(i));
    }
  });
  const Json answer_body = result.json();
  ASSERT_EQ(answer_body["choices"].size(), 4U);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(answer_body["choices"][i]["index"], i);
    EXPECT_EQ(answer_body["choices"][i]["text"], "t" + std::to_string(i));
  }
  EXPECT_EQ(answer_body["usage"]["prompt_tokens"], 10);
}

TEST_F(ActiveRequestTest, TheEnginesRefusalsKeepTheirMeaning) {
  start();
  engine_->refuse(Error{ErrorCode::kResourceExhausted, "the queue is full"});
  EXPECT_EQ(post("/v1/chat/completions", kChatBody).status, 429);
  engine_->refuse(Error{ErrorCode::kTooLarge, "prompt 5 + max_tokens 9 over 10"});
  const auto too_large = post("/v1/chat/completions", kChatBody);
  EXPECT_EQ(too_large.status, 400);
  EXPECT_EQ(too_large.json()["error"]["param"], "messages");
  engine_->refuse(Error{ErrorCode::kUnavailable, "stopped"});
  EXPECT_EQ(post("/v1/chat/completions", kChatBody).status, 503);
}

}  // namespace
}  // namespace hadal
