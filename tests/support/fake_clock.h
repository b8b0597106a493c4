// A clock that a test moves.
#pragma once

#include <atomic>

#include "hadal/base/clock.h"

namespace hadal::test {

class FakeClock final : public Clock {
 public:
  TimePoint now() const override { return TimePoint{Duration{now_.load()}}; }
  void advance(Duration by) { now_ += by.count(); }
  void advance_to(TimePoint to) {
    if (to > now()) now_ = to.time_since_epoch().count();
  }

 private:
  std::atomic<int64_t> now_ = 1'000'000'000;
};

}  // namespace hadal::test
