#include "hadal/server/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/server_fixture.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;
using ServerTest = ServerFixture;

TEST_F(ServerTest, AnswersWhileTheModelLoads) {
  start({}, false);
  server_->set_progress("reading weights", 0.5);
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(get("/version").body, R"({"version":"1.2.3"})");
  const auto ready = get("/ready");
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.json()["step"], "reading weights");
  EXPECT_EQ(ready.json()["progress"], 0.5);
  EXPECT_EQ(get("/metrics").status, 200);
  EXPECT_EQ(get("/v1/models").status, 503);
  const auto refused = post("/v1/chat/completions", kChatBody);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.json()["error"]["code"], "engine_loading");
  EXPECT_FALSE(refused.header("retry-after").empty());
  open();
  EXPECT_EQ(get("/ready").status, 200);
}

TEST_F(ServerTest, DrainingFinishesWhatRunsAndRefusesWhatComes) {
  start();
  const auto result = exchange("/v1/chat/completions", kStreamBody, [&] {
    const RequestId id = engine_->submitted(0).first;
    server_->begin_drain();
    const auto refused = post("/v1/chat/completions", kChatBody);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.json()["error"]["code"], "engine_draining");
    EXPECT_EQ(get("/ready").status, 503);
    EXPECT_EQ(get("/health").status, 200);
    answer(id, "done");
  });
  EXPECT_EQ(result.status, 200);
  EXPECT_THAT(result.body, HasSubstr("[DONE]"));
}

TEST_F(ServerTest, AFailedEngineTurnsHealthOff) {
  start();
  server_->set_failed();
  EXPECT_EQ(get("/health").status, 503);
  EXPECT_EQ(post("/v1/chat/completions", kChatBody).status, 503);
}

TEST_F(ServerTest, ASecondServerOnThePortIsRefusedByName) {
  start();
  const auto second =
      Server::listen({.host = "127.0.0.1", .port = server_->port(), .model_names = {"x"}}, clock_);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(server_->port())));
  EXPECT_THAT(second.error().message, HasSubstr("in use"));
}

TEST_F(ServerTest, KeepAliveServesManyRequestsOnOneConnection) {
  start();
  EXPECT_EQ(get_on_one_connection("/health", 300), std::vector<int>(300, 200));
  EXPECT_EQ(request("HEAD", "/health").status, 200);
}

}  // namespace
}  // namespace hadal
