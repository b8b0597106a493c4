// Time as an argument: whatever needs the time is given a Clock, so that tests and the simulator
// own it.
#pragma once

#include <chrono>

namespace hadal {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;  // monotonic; any thread
};

class SteadyClock final : public Clock {
 public:
  TimePoint now() const override;
};

}  // namespace hadal
