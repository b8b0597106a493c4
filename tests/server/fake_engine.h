// An engine that does what a test says: it records what is submitted and emits tokens at command.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "hadal/engine/engine.h"

namespace hadal {

class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(OutputSink& sink) : sink_(sink) {}

  void start() override {}
  RequestId next_id() override {
    std::lock_guard lock(mutex_);
    return RequestId{++last_id_};
  }

  Status submit(RequestId id, Request request) override {
    std::lock_guard lock(mutex_);
    if (refusal_) return *refusal_;
    live_.insert(raw(id));
    requests_.emplace_back(id, std::move(request));
    changed_.notify_all();
    return {};
  }

  // As the real one: the request ends at once, with what has been delivered.
  void finish_at(RequestId id, int64_t token_count) override {
    {
      std::lock_guard lock(mutex_);
      finished_at_[raw(id)] = token_count;
      changed_.notify_all();
    }
    end(id, FinishReason::kStop, token_count);
  }

  void cancel(RequestId id) override {
    {
      std::lock_guard lock(mutex_);
      if (!live_.contains(raw(id))) return;
      cancelled_.insert(raw(id));
    }
    end(id, FinishReason::kCancelled, 0);
  }

  EngineStats stats() const override {
    std::lock_guard lock(mutex_);
    EngineStats stats;
    stats.requests_running = static_cast<int64_t>(live_.size());
    stats.spec_drafts = 3;
    return stats;
  }
  EngineState state() const override { return EngineState::kRunning; }
  bool drain(Duration) override { return true; }
  void stop() override {}
  void set_on_failure(std::function<void(const Error&)>) override {}

  // The test's side.
  void refuse(std::optional<Error> refusal) {
    std::lock_guard lock(mutex_);
    refusal_ = std::move(refusal);
  }

  // Waits for the `index`-th submission, counted from 0.
  std::pair<RequestId, Request> submitted(size_t index) {
    std::unique_lock lock(mutex_);
    wait(lock, [&] { return requests_.size() > index; });
    return requests_.at(index);
  }

  void emit(RequestId id, std::span<const TokenId> tokens) {
    for (const TokenId token : tokens) {
      OutputEvent event{.request = id, .count = 1};
      event.tokens[0] = token;
      deliver(event);
    }
  }

  void end(RequestId id, FinishReason reason, int64_t completion_tokens, Error error = {}) {
    OutputEvent event{.request = id, .end = true, .reason = reason, .error = std::move(error)};
    event.usage = {.prompt_tokens = 5, .completion_tokens = completion_tokens};
    deliver(event);
  }

  // Ends by its own EOS, which is delivered with the end as the real engine does.
  void end_with_eos(RequestId id, TokenId eos, int64_t completion_tokens) {
    OutputEvent event{.request = id, .count = 1, .end = true, .stop_token = eos};
    event.tokens[0] = eos;
    event.usage = {.prompt_tokens = 5, .completion_tokens = completion_tokens};
    deliver(event);
  }

  bool wait_until_all_ended() {
    std::unique_lock lock(mutex_);
    return wait(lock, [&] { return live_.empty(); });
  }
  bool was_cancelled(RequestId id) const {
    std::lock_guard lock(mutex_);
    return cancelled_.contains(raw(id));
  }
  std::optional<int64_t> finished_at(RequestId id) {
    std::unique_lock lock(mutex_);
    wait(lock, [&] { return finished_at_.contains(raw(id)); });
    const auto found = finished_at_.find(raw(id));
    return found == finished_at_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  template <typename Condition>
  bool wait(std::unique_lock<std::mutex>& lock, Condition condition) {
    constexpr std::chrono::seconds kPatience(20);
    const bool met = changed_.wait_for(lock, kPatience, condition);
    EXPECT_TRUE(met) << "the server did not do what the test waits for";
    return met;
  }

  void deliver(const OutputEvent& event) {
    {
      std::lock_guard lock(mutex_);
      if (!live_.contains(raw(event.request))) return;
      if (event.end) live_.erase(raw(event.request));
      sink_.deliver(event);
    }
    changed_.notify_all();
  }

  OutputSink& sink_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t last_id_ = 0;
  std::optional<Error> refusal_;
  std::vector<std::pair<RequestId, Request>> requests_;
  std::set<uint64_t> live_;
  std::set<uint64_t> cancelled_;
  std::map<uint64_t, int64_t> finished_at_;
};

}  // namespace hadal
