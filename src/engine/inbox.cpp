#include "engine/inbox.h"

#include <fmt/format.h>

#include <algorithm>

namespace hadal {

Inbox::Inbox(const Limits& limits) : limits_(limits) {}

Status Inbox::submit(RequestId id, Request request) {
  const auto tokens = static_cast<int64_t>(request.prompt.size());
  {
    std::lock_guard lock(mutex_);
    if (closed_) return *closed_;
    if (queued_requests_ >= limits_.requests_queued_max) {
      return Error{ErrorCode::kResourceExhausted,
                   fmt::format("{} requests are waiting, at most {} may", queued_requests_,
                               limits_.requests_queued_max)};
    }
    if (queued_tokens_ + tokens > limits_.tokens_queued_max) {
      return Error{ErrorCode::kResourceExhausted,
                   fmt::format("requests with {} prompt tokens are waiting, {} more exceed {}",
                               queued_tokens_, tokens, limits_.tokens_queued_max)};
    }
    const bool is_new = live_.try_emplace(id, Mark{.id = id}).second;
    HADAL_CHECK(is_new, "request {} was submitted before", raw(id));
    submissions_.push_back({.id = id, .request = std::move(request)});
    ++queued_requests_;
    queued_tokens_ += tokens;
    woken_ = true;
  }
  posted_.notify_one();
  return {};
}

void Inbox::cancel(RequestId id) {
  mark(id, std::nullopt);
}

void Inbox::finish_at(RequestId id, int64_t token_count) {
  mark(id, token_count);
}

void Inbox::mark(RequestId id, std::optional<int64_t> finish_at) {
  {
    std::lock_guard lock(mutex_);
    const auto place = live_.find(id);
    if (place == live_.end()) return;
    Mark& mark = place->second;
    if (!mark.cancel && !mark.finish_at) marked_.push_back(id);
    if (finish_at) {
      mark.finish_at = std::min(*finish_at, mark.finish_at.value_or(*finish_at));
    } else {
      mark.cancel = true;
    }
    woken_ = true;
  }
  posted_.notify_one();
}

void Inbox::wake() {
  {
    std::lock_guard lock(mutex_);
    woken_ = true;
  }
  posted_.notify_one();
}

void Inbox::close(Error reason) {
  std::lock_guard lock(mutex_);
  if (!closed_) closed_ = std::move(reason);
}

void Inbox::take(std::optional<Duration> timeout, Batch& batch) {
  batch.submissions.clear();
  batch.marks.clear();
  std::unique_lock lock(mutex_);
  const auto woken = [&] { return woken_; };
  if (timeout) {
    posted_.wait_for(lock, *timeout, woken);
  } else {
    posted_.wait(lock, woken);
  }
  woken_ = false;
  batch.submissions.swap(submissions_);
  for (const RequestId id : marked_) {
    const auto place = live_.find(id);
    if (place == live_.end()) continue;
    batch.marks.push_back(place->second);
    place->second = {.id = id};
  }
  marked_.clear();
}

void Inbox::set_queued(int64_t requests, int64_t tokens) {
  std::lock_guard lock(mutex_);
  queued_requests_ = requests;
  queued_tokens_ = tokens;
  for (const Submission& submission : submissions_) {
    ++queued_requests_;
    queued_tokens_ += static_cast<int64_t>(submission.request.prompt.size());
  }
}

void Inbox::ended(RequestId id) {
  std::lock_guard lock(mutex_);
  live_.erase(id);
  if (live_.empty()) all_ended_.notify_all();
}

int64_t Inbox::live() const {
  std::lock_guard lock(mutex_);
  return static_cast<int64_t>(live_.size());
}

bool Inbox::wait_until_all_ended(Duration timeout) {
  std::unique_lock lock(mutex_);
  return all_ended_.wait_for(lock, timeout, [&] { return live_.empty(); });
}

}  // namespace hadal
