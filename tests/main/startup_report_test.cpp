#include "main/startup_report.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

class SteppedClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  void advance_ms(int ms) { now_ += std::chrono::milliseconds(ms); }

 private:
  TimePoint now_{};
};

TEST(StartupReport, SumsItsPhases) {
  SteppedClock clock;
  StartupReport report(clock);
  EXPECT_EQ(report.text(), "ready in 0 ms");
  clock.advance_ms(3);
  report.end_phase("port");
  clock.advance_ms(40);
  report.end_phase("weights");
  EXPECT_EQ(report.text(), "ready in 43 ms: port 3, weights 40");
}

}  // namespace
}  // namespace hadal
