// The threads that serve connections, one each: made when needed, kept for a while, at most a given
// number. (The library's own pool can leave a connection waiting behind a long stream while it
// could still start threads, and keeps an unbounded backlog.)
#pragma once

#include <httplib.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace hadal {

// Threads: enqueue() and shutdown() by the accepting thread.
class ConnectionThreads final : public httplib::TaskQueue {
 public:
  explicit ConnectionThreads(int threads_max);
  ~ConnectionThreads() override;

  // False: every thread is taken; the library closes the connection.
  bool enqueue(std::function<void()> connection) override;
  // Waits for the connections that are being served. Idempotent.
  void shutdown() override;

 private:
  void run(std::list<std::thread>::iterator self);
  void join_finished();

  const size_t threads_max_;
  std::mutex mutex_;
  std::condition_variable ready_;                  // a connection waits, or stopping
  std::condition_variable finished_ready_;         // finished_ has grown
  std::deque<std::function<void()>> connections_;  // guarded by mutex_; at most `idle_` wait
  std::list<std::thread> threads_;                 // guarded by mutex_
  std::list<std::thread> finished_;                // guarded by mutex_: to be joined
  size_t idle_ = 0;                                // guarded by mutex_
  bool stopping_ = false;                          // guarded by mutex_
};

}  // namespace hadal
