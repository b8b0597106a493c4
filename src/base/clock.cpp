#include "hadal/base/clock.h"

namespace hadal {

TimePoint SteadyClock::now() const {
  return std::chrono::steady_clock::now();
}

}  // namespace hadal
