#include "main/startup_report.h"

#include <fmt/format.h>

namespace hadal {
namespace {

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

void StartupReport::end_phase(std::string name) {
  const TimePoint now = clock_.now();
  phases_.emplace_back(std::move(name), now - phase_begin_);
  phase_begin_ = now;
}

std::string StartupReport::text() const {
  std::string out = fmt::format("ready in {:.0f} ms", milliseconds(phase_begin_ - begin_));
  const char* separator = ": ";
  for (const auto& [name, duration] : phases_) {
    out += fmt::format("{}{} {:.0f}", separator, name, milliseconds(duration));
    separator = ", ";
  }
  return out;
}

}  // namespace hadal
