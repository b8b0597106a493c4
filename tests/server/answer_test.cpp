#include "server/answer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "server/raw_client.h"
#include "server/server_fixture.h"

namespace hadal {
namespace {

using AnswerTest = ServerFixture;

TEST_F(AnswerTest, AStopStringEndsTheRequestBeforeAnyWrite) {
  start();
  const std::string body =
      R"({"messages":[{"role":"user","content":"x"}],"stop":["WORLD"],"temperature":0})";
  const auto result = exchange("/v1/chat/completions", body, [&] {
    const RequestId id = engine_->submitted(0).first;
    engine_->emit(id, tokens_of("hello WORLD and more"));
    EXPECT_LE(engine_->finished_at(id), static_cast<int64_t>(tokens_of("hello WORLD").size()));
  });
  const Json choice = result.json()["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "hello ");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["stop_reason"], "WORLD");
}

TEST_F(AnswerTest, AFailureBeforeTheFirstTokenHasAStatusAndAfterItAnEvent) {
  start();
  const Error failure{ErrorCode::kDevice, "gone"};
  const auto early = exchange("/v1/chat/completions", kStreamBody, [&] {
    engine_->end(engine_->submitted(0).first, FinishReason::kError, 0, failure);
  });
  EXPECT_EQ(early.status, 500);
  const auto late = exchange("/v1/chat/completions", kStreamBody, [&] {
    const RequestId id = engine_->submitted(1).first;
    engine_->emit(id, tokens_of("some text"));
    engine_->end(id, FinishReason::kError, 2, failure);
  });
  // The first text and the failure may have come together; then there is a status here too.
  if (late.status == 200) {
    const auto events = events_of(late.body);
    ASSERT_GE(events.size(), 2U);
    EXPECT_EQ(events.back(), "[DONE]");
    EXPECT_EQ(Json::parse(events[events.size() - 2])["error"]["code"], "internal_error");
  } else {
    EXPECT_EQ(late.status, 500);
  }
}

TEST_F(AnswerTest, AClientThatLeavesCancelsItsStream) {
  start();
  RawClient client(server_->port(), kStreamBody);
  const RequestId id = engine_->submitted(0).first;
  engine_->emit(id, tokens_of("hello there"));
  client.leave();
  EXPECT_TRUE(engine_->wait_until_all_ended());
  EXPECT_TRUE(engine_->was_cancelled(id));
}

TEST_F(AnswerTest, AClientThatLeavesCancelsAPlainRequestToo) {
  start();
  RawClient client(server_->port(), kChatBody);
  const RequestId id = engine_->submitted(0).first;
  client.leave();
  EXPECT_TRUE(engine_->wait_until_all_ended());
  EXPECT_TRUE(engine_->was_cancelled(id));
}

// The connection was once looked at only when no token came for 50 ms: a model faster than that
// went on to its last token for nobody.
TEST_F(AnswerTest, AClientThatLeavesIsNoticedWhileTokensKeepComing) {
  start();
  RawClient client(server_->port(), kChatBody);
  const RequestId id = engine_->submitted(0).first;
  client.leave();
  const auto tokens = tokens_of("x");
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!engine_->was_cancelled(id) && std::chrono::steady_clock::now() < give_up) {
    engine_->emit(id, tokens);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(engine_->was_cancelled(id));
}

TEST_F(AnswerTest, AClientThatDoesNotReadIsDroppedAndDelaysNobody) {
  start({.output_events_queued_max = 64});
  const RawClient deaf(server_->port(), kStreamBody);
  const RequestId deaf_id = engine_->submitted(0).first;
  // The kernel takes some megabytes first.
  constexpr int kTokensMax = 2'000'000;
  const auto tokens = tokens_of("x");
  for (int i = 0; i < kTokensMax && !engine_->was_cancelled(deaf_id); ++i) {
    engine_->emit(deaf_id, tokens);
  }
  EXPECT_TRUE(engine_->was_cancelled(deaf_id));
  const auto other = exchange("/v1/chat/completions", kChatBody,
                              [&] { answer(engine_->submitted(1).first, "hello"); });
  EXPECT_EQ(other.status, 200);
}

}  // namespace
}  // namespace hadal
