// A sink that keeps what each request got, and lets a test wait for ends.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include "hadal/engine/engine.h"

namespace hadal::test {

class CollectingSink final : public OutputSink {
 public:
  struct Output {
    std::vector<TokenId> tokens;
    int ends = 0;
    OutputEvent end;
  };

  void deliver(const OutputEvent& event) override {
    {
      std::lock_guard lock(mutex_);
      Output& output = outputs_[event.request];
      EXPECT_EQ(output.ends, 0) << "an event after the end";
      output.tokens.insert(output.tokens.end(), event.tokens.begin(),
                           event.tokens.begin() + event.count);
      if (event.end) {
        ++output.ends;
        ++ends_;
        output.end = event;
      }
    }
    changed_.notify_all();
  }

  // False: it took longer than a minute.
  bool wait_for_ends(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(1), [&] { return ends_ >= count; });
  }
  bool wait_for_tokens(RequestId id, size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(1),
                             [&] { return outputs_[id].tokens.size() >= count; });
  }

  Output output(RequestId id) {
    std::lock_guard lock(mutex_);
    return outputs_[id];
  }
  int ends() {
    std::lock_guard lock(mutex_);
    return ends_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<RequestId, Output> outputs_;
  int ends_ = 0;
};

}  // namespace hadal::test
