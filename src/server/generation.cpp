#include "server/generation.h"

#include <utility>

#include "hadal/base/check.h"

namespace hadal {

Generation::Generation(int choices, int updates_max)
    : updates_max_(updates_max), open_choices_(choices) {
  HADAL_CHECK(choices > 0 && updates_max > 0, "{} choices, {} updates", choices, updates_max);
}

bool Generation::put(ChoiceUpdate update) {
  std::lock_guard lock(mutex_);
  if (too_slow_ || abandoned_) return false;
  // Ends always fit: there is one a choice, and without it the worker would wait forever.
  if (!update.end && waiting_.size() >= static_cast<size_t>(updates_max_)) {
    too_slow_ = true;
    waiting_.clear();
    return false;
  }
  waiting_.push_back(std::move(update));
  return true;
}

void Generation::notify() {
  ready_.notify_one();
}

bool Generation::wait_for(Duration timeout) {
  std::unique_lock lock(mutex_);
  return ready_.wait_for(lock, timeout, [&] { return too_slow_ || !waiting_.empty(); });
}

std::vector<ChoiceUpdate> Generation::take() {
  std::lock_guard lock(mutex_);
  for (const ChoiceUpdate& update : waiting_) open_choices_ -= update.end ? 1 : 0;
  return std::exchange(waiting_, {});
}

bool Generation::finished() const {
  std::lock_guard lock(mutex_);
  return open_choices_ == 0;
}

bool Generation::too_slow() const {
  std::lock_guard lock(mutex_);
  return too_slow_;
}

void Generation::abandon() {
  std::lock_guard lock(mutex_);
  abandoned_ = true;
  waiting_.clear();
}

}  // namespace hadal
