#include "server/connection_threads.h"

#include <chrono>
#include <utility>

namespace hadal {
namespace {

// Long enough that a client's next connection finds a thread, short enough to give a burst's
// memory back.
constexpr std::chrono::seconds kIdleMax(10);

}  // namespace

ConnectionThreads::ConnectionThreads(int threads_max)
    : threads_max_(static_cast<size_t>(threads_max)) {}

ConnectionThreads::~ConnectionThreads() {
  shutdown();
}

bool ConnectionThreads::enqueue(std::function<void()> connection) {
  join_finished();
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    // Each waiting connection has an idle thread of its own, so none waits behind a stream.
    if (connections_.size() >= idle_) {
      if (threads_.size() >= threads_max_) return false;
      threads_.emplace_front();
      const auto self = threads_.begin();
      ++idle_;
      *self = std::thread([this, self] { run(self); });
    }
    connections_.push_back(std::move(connection));
  }
  ready_.notify_one();
  return true;
}

void ConnectionThreads::run(std::list<std::thread>::iterator self) {
  std::unique_lock lock(mutex_);
  while (true) {
    ready_.wait_for(lock, kIdleMax, [&] { return stopping_ || !connections_.empty(); });
    --idle_;
    if (connections_.empty()) break;
    {
      const auto connection = std::move(connections_.front());
      connections_.pop_front();
      lock.unlock();
      connection();
    }
    lock.lock();
    ++idle_;
  }
  finished_.splice(finished_.end(), threads_, self);
  finished_ready_.notify_one();
}

void ConnectionThreads::join_finished() {
  std::list<std::thread> finished;
  {
    std::lock_guard lock(mutex_);
    finished.swap(finished_);
  }
  for (std::thread& thread : finished) thread.join();
}

void ConnectionThreads::shutdown() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  {
    std::unique_lock lock(mutex_);
    finished_ready_.wait(lock, [&] { return threads_.empty(); });
  }
  join_finished();
}

}  // namespace hadal
