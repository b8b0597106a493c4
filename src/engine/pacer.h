// When the next step may be submitted behind one in flight.
//
// Submitting early hides host time, but it also fixes the step's rows: a request that arrives later
// waits for one step more than in synchronous scheduling. So the next step goes no earlier than the
// predicted end of the last one in flight minus twice the host time of a step, measured with the
// lateness of the loop's wake-up included.
//
// A step's duration is predicted from earlier steps of its shape: mean minus twice the mean
// deviation, because too late a prediction idles the device and too early a one only costs an
// arrival some of its luck. A shape not seen before is not waited for.
//
// Threads: one.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "hadal/base/clock.h"
#include "hadal/core/step_plan.h"

namespace hadal {

// Mean and mean deviation, both exponentially forgetting.
class RunningMean {
 public:
  void add(Duration sample);
  bool empty() const { return !seen_; }
  Duration mean() const { return mean_; }
  Duration low() const;  // mean minus twice the mean deviation, at least 0

 private:
  bool seen_ = false;
  Duration mean_{};
  Duration deviation_{};
};

class Pacer {
 public:
  void submitted(const StepPlan& plan, TimePoint now);
  void finished(TimePoint now);  // the oldest step in flight
  void host_time(Duration of_one_step) { host_time_.add(of_one_step); }

  // Empty: at once.
  std::optional<TimePoint> next_time() const;
  bool may_submit(TimePoint now) const;

 private:
  struct InFlight {
    size_t shape;
    TimePoint submitted;
  };

  static size_t shape_of(const StepPlan& plan);

  std::array<RunningMean, 64> durations_;  // by shape
  RunningMean host_time_;
  std::vector<InFlight> in_flight_;  // oldest first; a few at most
  TimePoint last_finish_{};
};

}  // namespace hadal
