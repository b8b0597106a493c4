// Counts the requests that are being answered, and bounds them.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "hadal/base/clock.h"

namespace hadal {

// Threads: any. REQUIRES: outlives its tickets.
class StreamGate {
 public:
  // Held while a request is answered; the destructor gives the place back.
  class Ticket {
   public:
    explicit Ticket(StreamGate& gate) : gate_(gate) {}
    ~Ticket() { gate_.leave(); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

   private:
    StreamGate& gate_;
  };

  explicit StreamGate(int streams_max) : streams_max_(streams_max) {}

  // nullptr: full.
  std::unique_ptr<Ticket> try_enter() {
    std::lock_guard lock(mutex_);
    if (inside_ >= streams_max_) return nullptr;
    ++inside_;
    return std::make_unique<Ticket>(*this);
  }

  // False: the timeout.
  bool wait_empty(Duration timeout) {
    std::unique_lock lock(mutex_);
    return empty_.wait_for(lock, timeout, [&] { return inside_ == 0; });
  }

  int inside() const {
    std::lock_guard lock(mutex_);
    return inside_;
  }

 private:
  void leave() {
    // Notified under the lock: whoever waits may destroy this as soon as it sees zero.
    std::lock_guard lock(mutex_);
    if (--inside_ == 0) empty_.notify_all();
  }

  const int streams_max_;
  mutable std::mutex mutex_;
  std::condition_variable empty_;
  int inside_ = 0;  // guarded by mutex_
};

}  // namespace hadal
