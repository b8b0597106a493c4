// Whatever the mode, the batch, the chunking, the number of drafts and the room for pages: each
// request gets the tokens that it gets alone.
#include <random>

#include "scheduler/harness.h"

namespace hadal::test {
namespace {

struct Mode {
  int drafts;
  int steps_in_flight;
  int batched_tokens;
  int pages;
  bool prefix_cache;
};

void PrintTo(const Mode& mode, std::ostream* out) {
  *out << "K=" << mode.drafts << " in flight=" << mode.steps_in_flight
       << " tokens=" << mode.batched_tokens << " pages=" << mode.pages
       << " cache=" << mode.prefix_cache;
}

class Streams : public ::testing::TestWithParam<Mode> {
 protected:
  SchedulerOptions options() const {
    SchedulerOptions options = small_options();
    options.drafts = options.drafts_max = GetParam().drafts;
    options.steps_in_flight_max = GetParam().steps_in_flight;
    options.batched_tokens_max = GetParam().batched_tokens;
    options.pages_total = GetParam().pages;
    options.prefix_cache = GetParam().prefix_cache;
    return options;
  }
};

TEST_P(Streams, EqualThoseOfEachRequestAlone) {
  Harness harness(options(), {.acceptance = 0.6, .eos_period = 150});
  std::mt19937 random(3);
  for (int i = 0; i < 40; ++i) {
    Request request = harness.request(1 + random() % 200, 1 + random() % 150);
    // Some prompts share a beginning, so that the prefix cache has something to find.
    if (i % 3 == 0) std::fill_n(request.prompt.begin(), request.prompt.size() * 3 / 4, 5);
    request.sampling.temperature = i % 2 == 0 ? 0.0F : 1.0F;
    request.sampling.seed = random();
    request.sampling.ignore_eos = i % 5 == 0;
    harness.add(std::move(request));
  }
  harness.run();
  harness.expect_all_outputs_of_alone();
  if (GetParam().pages < 20) {
    EXPECT_GT(harness.scheduler().stats().preemptions, 0);
  }
  if (GetParam().prefix_cache && GetParam().pages > 20) {
    EXPECT_GT(harness.scheduler().stats().prompt_tokens_cached, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, Streams,
                         ::testing::Values(Mode{0, 1, 64, 65, false}, Mode{0, 2, 64, 65, true},
                                           Mode{1, 1, 16, 65, true}, Mode{1, 2, 16, 9, false},
                                           Mode{3, 1, 64, 9, true}, Mode{3, 2, 64, 65, true},
                                           Mode{3, 2, 512, 9, true}, Mode{7, 1, 512, 9, false},
                                           Mode{7, 2, 64, 9, true}, Mode{7, 3, 64, 65, true},
                                           Mode{0, 2, 512, 9, true}, Mode{2, 2, 64, 9, false}));

}  // namespace
}  // namespace hadal::test
