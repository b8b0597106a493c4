// How long each phase of the start took.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hadal/base/clock.h"

namespace hadal {

class StartupReport {
 public:
  explicit StartupReport(const Clock& clock)
      : clock_(clock), begin_(clock.now()), phase_begin_(begin_) {}

  // The phase that ends now.
  void end_phase(std::string name);

  // "ready in 45 ms: port 1, tokenizer 12, …"
  std::string text() const;

 private:
  const Clock& clock_;
  TimePoint begin_;
  TimePoint phase_begin_;
  std::vector<std::pair<std::string, Duration>> phases_;
};

}  // namespace hadal
