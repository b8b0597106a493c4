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

// Events once went out before the counters: a client that read /metrics after its answer missed it.
TEST_F(EngineTest, CountsARequestBeforeItsEndIsDelivered) {
  class CountingSink final : public OutputSink {
   public:
    void deliver(const OutputEvent& event) override {
      if (event.end) counted.push_back(engine->stats().finished);
      inner.deliver(event);
    }
    Engine* engine = nullptr;
    std::vector<std::array<int64_t, 4>> counted;
    CollectingSink inner;
  };
  FakeRunner runner({});
  CountingSink sink;
  const auto engine = Engine::create({}, runner, sink, clock_);
  sink.engine = engine.get();
  engine->start();
  for (int i = 1; i <= 20; ++i) {
    ASSERT_TRUE(engine->submit(engine->next_id(), request_of(3, 2)).ok());
    ASSERT_TRUE(sink.inner.wait_for_ends(i));
  }
  engine->stop();
  for (size_t i = 0; i < sink.counted.size(); ++i) {
    EXPECT_EQ(sink.counted[i][static_cast<size_t>(FinishReason::kLength)],
              static_cast<int64_t>(i) + 1);
  }
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

// "Every request ends with one error event"; later ones are refused.
TEST_P(EngineAtDepth, AFailureEndsEveryRequestOnce) {
  FakeRunnerOptions runner_options;
  runner_options.on_command = true;
  start({.limits = {.max_num_seqs = 2}, .steps_in_flight_max = GetParam()}, runner_options);
  std::vector<RequestId> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(submit(request_of(10, 100)));
  runner_->complete(3);
  ASSERT_TRUE(sink_.wait_for_tokens(ids[0], 2));
  runner_->fail({ErrorCode::kDevice, "the device is gone"});
  ASSERT_TRUE(sink_.wait_for_ends(10));
  engine_->stop();
  EXPECT_EQ(engine_->state(), EngineState::kFailed);
  for (const RequestId id : ids) {
    EXPECT_EQ(sink_.output(id).end.reason, FinishReason::kError);
    EXPECT_EQ(sink_.output(id).end.error.message, "the device is gone");
  }
  ASSERT_EQ(failures_.size(), 1U);
  EXPECT_EQ(ends_at_failure_, 10) << "on_failure comes after every request has ended";
  const Status refused = engine_->submit(engine_->next_id(), request_of(1, 1));
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
}

TEST_P(EngineAtDepth, ARunnerThatThrowsIsAFailure) {
  FakeRunnerOptions runner_options;
  runner_options.on_command = true;
  start({.steps_in_flight_max = GetParam()}, runner_options);
  const RequestId id = submit(request_of(10, 100));
  runner_->throw_at_poll();
  ASSERT_TRUE(sink_.wait_for_ends(1));
  engine_->stop();
  EXPECT_EQ(sink_.output(id).end.error.message, "the runner threw: thrown on purpose");
  EXPECT_EQ(failures_.size(), 1U);
}

TEST_P(EngineAtDepth, ARunnerThatHangsIsAFailure) {
  FakeRunnerOptions runner_options;
  runner_options.on_command = true;
  start({.steps_in_flight_max = GetParam(), .watchdog = milliseconds(20)}, runner_options);
  const RequestId id = submit(request_of(10, 100));
  ASSERT_TRUE(sink_.wait_for_ends(1));
  engine_->stop();
  EXPECT_EQ(sink_.output(id).end.reason, FinishReason::kError);
  EXPECT_EQ(engine_->state(), EngineState::kFailed);
  EXPECT_EQ(failures_.size(), 1U);
}

TEST_P(EngineAtDepth, DrainRefusesNewRequestsAndLetsTheOthersEnd) {
  FakeRunnerOptions runner_options;
  runner_options.on_command = true;
  start({.steps_in_flight_max = GetParam()}, runner_options);
  const RequestId id = submit(request_of(10, 20));
  EXPECT_FALSE(engine_->drain(Duration{0}));
  EXPECT_EQ(engine_->state(), EngineState::kDraining);
  EXPECT_EQ(engine_->submit(engine_->next_id(), request_of(1, 1)).error().code,
            ErrorCode::kUnavailable);
  runner_->complete(100);
  EXPECT_TRUE(engine_->drain(minutes(1)));
  EXPECT_EQ(sink_.output(id).end.reason, FinishReason::kLength);
  engine_->stop();
  EXPECT_EQ(engine_->state(), EngineState::kStopped);
  EXPECT_TRUE(failures_.empty());
}

TEST_P(EngineAtDepth, StopCancelsWhatIsLeft) {
  start({.limits = {.max_num_seqs = 2}, .steps_in_flight_max = GetParam()});
  std::vector<RequestId> ids;
  for (int i = 0; i < 10; ++i) {
    Request request = request_of(10, 4000);
    request.sampling.ignore_eos = true;
    ids.push_back(submit(std::move(request)));
  }
  engine_->stop();
  engine_->stop();  // idempotent
  for (const RequestId id : ids) EXPECT_EQ(sink_.output(id).ends, 1);
  EXPECT_EQ(runner_->in_flight(), 0) << "the runner still reads the plans";
}

TEST_F(EngineTest, StopWithoutStartEndsWhatWasAccepted) {
  runner_ = std::make_unique<FakeRunner>(FakeRunnerOptions{});
  engine_ = Engine::create({}, *runner_, sink_, clock_);
  const RequestId id = submit(request_of(5, 5));
  engine_->stop();
  EXPECT_EQ(sink_.output(id).end.reason, FinishReason::kCancelled);
  EXPECT_FALSE(engine_->submit(engine_->next_id(), request_of(1, 1)).ok());
}

TEST_F(EngineTest, RefusesWhatCanNeverRun) {
  start();
  EXPECT_EQ(engine_->submit(engine_->next_id(), request_of(4090, 100)).error().code,
            ErrorCode::kTooLarge);
  EXPECT_TRUE(engine_->submit(engine_->next_id(), request_of(3996, 100)).ok());
  engine_->stop();
}

TEST_F(EngineTest, RefusesOneRequestMoreThanMayWait) {
  FakeRunnerOptions runner_options;
  runner_options.on_command = true;  // nothing is admitted behind the first
  start({.limits = {.max_num_seqs = 1, .requests_queued_max = 3}}, runner_options);
  const RequestId running = submit(request_of(5, 5));
  runner_->complete(1);
  ASSERT_TRUE(sink_.wait_for_tokens(running, 1));
  // Its admission is counted when the loop's turn is over; until then one place less is free.
  int accepted = 0;
  while (accepted < 3) {
    accepted += engine_->submit(engine_->next_id(), request_of(5, 5)).ok() ? 1 : 0;
  }
  EXPECT_EQ(engine_->submit(engine_->next_id(), request_of(5, 5)).error().code,
            ErrorCode::kResourceExhausted);
  runner_->complete(1000);
  ASSERT_TRUE(sink_.wait_for_ends(4));
  engine_->stop();
}

TEST_F(EngineTest, FinishAndCancelReachTheirRequest) {
  FakeRunnerOptions runner_options;
  runner_options.on_command = true;
  start({}, runner_options);
  const RequestId finished = submit(request_of(5, 100));
  const RequestId cancelled = submit(request_of(5, 100, 50));
  runner_->complete(10);
  ASSERT_TRUE(sink_.wait_for_tokens(finished, 5));
  engine_->finish_at(finished, 3);
  engine_->cancel(cancelled);
  ASSERT_TRUE(sink_.wait_for_ends(2));
  EXPECT_EQ(sink_.output(finished).end.reason, FinishReason::kStop);
  EXPECT_EQ(sink_.output(finished).end.usage.completion_tokens, 3);
  EXPECT_EQ(sink_.output(cancelled).end.reason, FinishReason::kCancelled);
  runner_->complete(10);
  engine_->stop();
}

}  // namespace
}  // namespace hadal::test
