// The engine with its thread, over a FakeRunner.
#include "hadal/engine/engine.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "engine/collecting_sink.h"
#include "support/fake_runner.h"

namespace hadal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

Request request_of(int prompt_tokens, int max_tokens, TokenId first = 1) {
  Request request;
  request.prompt.resize(prompt_tokens);
  std::iota(request.prompt.begin(), request.prompt.end(), first);
  request.sampling.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  return request;
}

class EngineTest : public ::testing::Test {
 protected:
  void start(EngineOptions options = {}, FakeRunnerOptions runner_options = {}) {
    runner_ = std::make_unique<FakeRunner>(runner_options);
    model_ = runner_options.model;
    engine_ = Engine::create(options, *runner_, sink_, clock_);
    engine_->set_on_failure([this](const Error& error) {
      ends_at_failure_ = sink_.ends();
      failures_.push_back(error);
    });
    engine_->start();
  }

  RequestId submit(Request request) {
    const RequestId id = engine_->next_id();
    EXPECT_TRUE(engine_->submit(id, std::move(request)).ok());
    return id;
  }

  SteadyClock clock_;
  CollectingSink sink_;
  FakeModel model_;
  std::vector<Error> failures_;  // read after the loop thread has been joined
  int ends_at_failure_ = 0;
  std::unique_ptr<FakeRunner> runner_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, AnswersARequest) {
  start();
  const Request request = request_of(100, 20);
  const RequestId id = submit(request);
  ASSERT_TRUE(sink_.wait_for_ends(1));
  EXPECT_EQ(sink_.output(id).tokens, model_.output_of(request));
  EXPECT_EQ(sink_.output(id).end.reason, FinishReason::kLength);
  EXPECT_EQ(sink_.output(id).end.usage.prompt_tokens, 100);
  EXPECT_EQ(sink_.output(id).end.usage.completion_tokens, 20);
}

class EngineAtDepth : public EngineTest, public ::testing::WithParamInterface<int> {};

TEST_P(EngineAtDepth, KeepsAsManyStepsInFlight) {
  FakeRunnerOptions runner_options;
  runner_options.on_command = true;
  start({.steps_in_flight_max = GetParam()}, runner_options);
  submit(request_of(10, 20));
  while (sink_.ends() == 0) {
    runner_->complete(1);
    std::this_thread::yield();
  }
  runner_->complete(10);  // what is in flight still
  engine_->stop();
  EXPECT_EQ(runner_->in_flight_seen_max(), GetParam());
}

TEST_P(EngineAtDepth, AnswersManyClientsAtOnce) {
  FakeRunnerOptions runner_options;
  runner_options.model.eos_period = 60;
  start({.drafts = 3, .steps_in_flight_max = GetParam()}, runner_options);
  constexpr int kClients = 4, kRequests = 50;
  std::vector<std::thread> clients;
  for (int client = 0; client < kClients; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; i < kRequests; ++i) {
        const RequestId id = submit(request_of(1 + i, 30, 1000 * client));
        if (i % 7 == 0) engine_->cancel(id);
        if (i % 7 == 1) engine_->finish_at(id, i % 11);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  ASSERT_TRUE(sink_.wait_for_ends(kClients * kRequests));
  engine_->stop();
  EXPECT_EQ(engine_->stats().requests_running, 0);
  EXPECT_EQ(engine_->stats().kv_usage, 0);
}

INSTANTIATE_TEST_SUITE_P(SyncAndAsync, EngineAtDepth, ::testing::Values(1, 2));

}  // namespace
}  // namespace hadal::test
