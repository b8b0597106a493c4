// What one HTTP request is waiting for: the text of its choices, put in by an output thread and
// taken out by the request's worker.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "hadal/base/clock.h"
#include "hadal/core/request.h"

namespace hadal {

// How one choice ended.
struct ChoiceEnd {
  FinishReason reason = FinishReason::kStop;
  // What stopped it, for kStop: a stop string, a stop token, or neither (EOS).
  std::variant<std::monostate, std::string, TokenId> stop_reason;
  Usage usage;
  int64_t reasoning_tokens = 0;  // of usage.completion_tokens
  Error error;                   // for kError
};

// What one step added to one choice.
struct ChoiceUpdate {
  int choice = 0;
  std::string reasoning;
  std::string content;
  int64_t completion_tokens = 0;  // of the choice, so far
  std::optional<ChoiceEnd> end;   // the choice's last update
};

// Threads: put() and notify() by one output thread a choice, the rest by the worker.
//
// Invariants: (1) at most `updates_max` updates wait; one more and the reader counts as lost: what
// waits is dropped and put() refuses from then on. (2) A choice has exactly one update with an end,
// its last, unless the reader is lost.
class Generation {
 public:
  Generation(int choices, int updates_max);

  // False: the reader is lost (too slow, or it called abandon()); the choice should be cancelled.
  bool put(ChoiceUpdate update);
  // Wakes the worker. Apart from put(), so that all that a step brings is taken at once.
  void notify();

  // Waits until there is something to take, the reader is lost, or the timeout.
  // False: the timeout.
  bool wait_for(Duration timeout);
  // All that waits, in order.
  std::vector<ChoiceUpdate> take();

  // Every choice's end has been taken.
  bool finished() const;
  // Invariant (1)'s limit was hit.
  bool too_slow() const;
  // The worker takes nothing more.
  void abandon();

 private:
  const int updates_max_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<ChoiceUpdate> waiting_;  // guarded by mutex_
  int open_choices_;                   // guarded by mutex_: ends not taken yet
  bool too_slow_ = false;              // guarded by mutex_
  bool abandoned_ = false;             // guarded by mutex_
};

}  // namespace hadal
