// What other threads want from the loop thread, and its one wait.
//
// Submissions are bounded together with the requests that the scheduler has not admitted yet. Marks
// (cancel, finish) are never refused: each live request has room for one of each, outside that
// bound. A request is *live* from its accepted submission until ended() is called for it.
//
// Threads: submit, cancel, finish_at, wake, close, wait_until_all_ended: any. The rest: the loop.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "hadal/base/clock.h"
#include "hadal/base/status.h"
#include "hadal/core/limits.h"
#include "hadal/core/request.h"

namespace hadal {

class Inbox {
 public:
  struct Submission {
    RequestId id{};
    Request request;
  };
  struct Mark {
    RequestId id{};
    bool cancel = false;
    std::optional<int64_t> finish_at;  // the smallest count asked for
  };
  struct Batch {
    std::vector<Submission> submissions;
    std::vector<Mark> marks;  // to be applied after the submissions
  };

  explicit Inbox(const Limits& limits);

  // kResourceExhausted: requests_queued_max or tokens_queued_max reached. After close(): its error.
  Status submit(RequestId id, Request request);
  void cancel(RequestId id);
  void finish_at(RequestId id, int64_t token_count);
  void wake();  // ends the loop's wait

  // Later submissions are refused with this error; the first call decides.
  void close(Error reason);

  // Waits until something was posted or wake() was called, or for `timeout`; then takes all there
  // is. Without a timeout it waits as long as it takes.
  void take(std::optional<Duration> timeout, Batch& batch);

  // What the scheduler has not admitted yet, after the last batch was handed to it.
  void set_queued(int64_t requests, int64_t tokens);

  void ended(RequestId id);
  int64_t live() const;
  bool wait_until_all_ended(Duration timeout);

 private:
  void mark(RequestId id, std::optional<int64_t> finish_at);

  const Limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable posted_;
  std::condition_variable all_ended_;
  // Guarded by mutex_:
  bool woken_ = false;
  std::optional<Error> closed_;
  std::vector<Submission> submissions_;
  std::unordered_map<RequestId, Mark> live_;
  std::vector<RequestId> marked_;  // live requests with a mark that the loop has not taken
  int64_t queued_requests_ = 0;    // submitted and not admitted
  int64_t queued_tokens_ = 0;
};

}  // namespace hadal
