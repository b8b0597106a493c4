#include <fmt/format.h>

#include "hadal/scheduler/scheduler.h"

namespace hadal {

std::string describe(const Refusal& refusal) {
  const auto line = [&](std::string_view why) {
    return fmt::format("request {} is not in this step: {}", raw(refusal.request), why);
  };
  switch (refusal.reason) {
    case RefusalReason::kEndsInFlight:
      return line("a step in flight produces its last token");
    case RefusalReason::kPagesInFlight:
      return line(
          fmt::format("it wants {} pages and {} are free, but steps in flight may free more",
                      refusal.wanted, refusal.found));
    case RefusalReason::kPages:
      return line(fmt::format("it wants {} pages and {} are free", refusal.wanted, refusal.found));
    case RefusalReason::kSlots:
      return line(fmt::format("it would be running sequence {} of at most {}", refusal.wanted,
                              refusal.found));
    case RefusalReason::kTokens:
      return line("the step's query tokens are used up");
    case RefusalReason::kStepsInFlight:
      return line(fmt::format("it was preempted and {} steps in flight contain it", refusal.found));
    case RefusalReason::kLeader:
      return line(fmt::format("request {} is still computing their prompt", refusal.found));
  }
  return line("unknown reason");
}

}  // namespace hadal
