// The loop thread around the EngineCore.
#include "hadal/engine/engine.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "engine/engine_core.h"
#include "engine/inbox.h"
#include "hadal/base/log.h"

namespace hadal {
namespace {

// Nothing is limited silently.
void warn_if_fewer_run(const EngineOptions& options, const RunnerInfo& info, int32_t running_max) {
  if (running_max >= options.limits.max_num_seqs) return;
  log().warn(
      "at most {} sequences run at once, not max-num-seqs = {}: there are {} slots, and a step has "
      "room for {} tokens, {} a sequence",
      running_max, options.limits.max_num_seqs, info.slots,
      std::min(options.limits.max_num_batched_tokens, info.query_tokens_max), 1 + options.drafts);
}

class ThreadedEngine final : public Engine, private OutputSink {
 public:
  ThreadedEngine(const EngineOptions& options, Runner& runner, OutputSink& sink, const Clock& clock)
      : options_(options),
        runner_(runner),
        sink_(sink),
        clock_(clock),
        inbox_(std::make_shared<Inbox>(options.limits)),
        core_(options, runner, *this, clock) {
    warn_if_fewer_run(options, runner.info(), core_.scheduler().running_max());
    // Shared, because a runner that hung may call long after the engine is gone.
    runner_.set_wakeup([inbox = inbox_] { inbox->wake(); });
  }

  ~ThreadedEngine() override { stop(); }

  void start() override {
    thread_ = std::thread([this] { run(); });
  }
  RequestId next_id() override { return RequestId{++last_id_}; }
  Status submit(RequestId id, Request request) override;
  void finish_at(RequestId id, int64_t token_count) override { inbox_->finish_at(id, token_count); }
  void cancel(RequestId id) override { inbox_->cancel(id); }
  EngineStats stats() const override;
  EngineState state() const override { return state_; }
  bool drain(Duration timeout) override;
  void stop() override;
  void set_on_failure(std::function<void(const Error&)> on_failure) override {
    on_failure_ = std::move(on_failure);
  }

 private:
  void deliver(const OutputEvent& event) override;
  void run();
  void hand_over(Inbox::Batch& batch);
  void fail(const Error& error);
  void finish();
  std::optional<Duration> wait_time() const;
  void publish_stats();

  const EngineOptions options_;
  Runner& runner_;
  OutputSink& sink_;
  const Clock& clock_;
  const std::shared_ptr<Inbox> inbox_;
  std::atomic<EngineState> state_ = EngineState::kRunning;
  std::atomic<uint64_t> last_id_ = 0;
  std::atomic<bool> stopping_ = false;
  std::function<void(const Error&)> on_failure_;

  mutable std::mutex stats_mutex_;
  EngineStats stats_;  // guarded by stats_mutex_

  EngineCore core_;     // loop thread only, but for check()
  Inbox::Batch batch_;  // loop thread only
  std::thread thread_;
};

Status ThreadedEngine::submit(RequestId id, Request request) {
  HADAL_RETURN_IF_ERROR(core_.check(request));
  return inbox_->submit(id, std::move(request));
}

// Whoever has seen a request's last event finds it counted in stats().
void ThreadedEngine::deliver(const OutputEvent& event) {
  if (event.end) publish_stats();
  sink_.deliver(event);
  if (event.end) inbox_->ended(event.request);
}

// One wait covers inbox, results, watchdog and pacer.
void ThreadedEngine::run() {
  while (!stopping_) {
    inbox_->take(wait_time(), batch_);
    hand_over(batch_);
    if (const Status turned = core_.turn(); !turned) {
      fail(turned.error());
      return;
    }
    publish_stats();
  }
  finish();
}

std::optional<Duration> ThreadedEngine::wait_time() const {
  const auto deadline = core_.deadline();
  if (!deadline) return std::nullopt;
  return std::max(*deadline - clock_.now(), Duration{0});
}

void ThreadedEngine::hand_over(Inbox::Batch& batch) {
  for (Inbox::Submission& submission : batch.submissions) {
    core_.add(submission.id, std::move(submission.request));
  }
  for (const Inbox::Mark& mark : batch.marks) {
    if (mark.finish_at) core_.finish_at(mark.id, *mark.finish_at);
    if (mark.cancel) core_.cancel(mark.id);
  }
}

void ThreadedEngine::publish_stats() {
  const SchedulerStats queues = core_.scheduler().stats();
  inbox_->set_queued(queues.queued, queues.queued_tokens);
  const EngineStats stats = core_.stats();
  std::lock_guard lock(stats_mutex_);
  stats_ = stats;
}

EngineStats ThreadedEngine::stats() const {
  std::lock_guard lock(stats_mutex_);
  return stats_;
}

// Whoever was accepted gets the error; whoever comes later is refused.
void ThreadedEngine::fail(const Error& error) {
  log().error("the engine has failed: {}", error.message);
  state_ = EngineState::kFailed;
  inbox_->close({ErrorCode::kUnavailable, "the engine has failed: " + error.message});
  inbox_->take(Duration{0}, batch_);
  hand_over(batch_);
  core_.fail_all(error);
  publish_stats();
  if (on_failure_) on_failure_(error);
}

// Cancels what is left. The runner still reads the plans of the steps in flight, so they are waited
// for, though no longer than the watchdog would.
void ThreadedEngine::finish() {
  inbox_->close({ErrorCode::kUnavailable, "the engine has stopped"});
  inbox_->take(Duration{0}, batch_);
  hand_over(batch_);
  core_.cancel_all();
  const TimePoint give_up = clock_.now() + options_.watchdog;
  while (!core_.settle() && clock_.now() < give_up) {
    inbox_->take(give_up - clock_.now(), batch_);
  }
  publish_stats();
  state_ = EngineState::kStopped;
}

bool ThreadedEngine::drain(Duration timeout) {
  EngineState running = EngineState::kRunning;
  state_.compare_exchange_strong(running, EngineState::kDraining);
  inbox_->close({ErrorCode::kUnavailable, "the engine is draining"});
  return inbox_->wait_until_all_ended(timeout);
}

void ThreadedEngine::stop() {
  stopping_ = true;
  inbox_->wake();
  if (thread_.joinable()) {
    thread_.join();
  } else if (state_ == EngineState::kRunning || state_ == EngineState::kDraining) {
    finish();  // start() was never called
  }
}

}  // namespace

std::unique_ptr<Engine> Engine::create(const EngineOptions& options, Runner& runner,
                                       OutputSink& sink, const Clock& clock) {
  return std::make_unique<ThreadedEngine>(options, runner, sink, clock);
}

}  // namespace hadal
