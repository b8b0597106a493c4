// hadal_sim: simulated episodes from consecutive seeds.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <exception>

#include "sim/episode.h"
#include "sim/shrink.h"

namespace hadal::sim {
namespace {

struct Options {
  uint64_t first_seed = 1;
  int64_t steps = 1'000'000;
  int64_t episodes = 0;
  bool shrink = false;
  bool expect_failure = false;
};

void print(const Report& report, double seconds) {
  fmt::print(
      "{} episodes, {} steps, {} rows ({:.1f} a step), {} requests, {} tokens, {} preemptions, {} "
      "cached tokens, {} inert rows, {:.2f} million rows a CPU second\n",
      report.episodes, report.steps, report.rows,
      static_cast<double>(report.rows) / static_cast<double>(std::max<int64_t>(report.steps, 1)),
      report.requests, report.tokens, report.preemptions, report.cached_tokens, report.inert_rows,
      static_cast<double>(report.rows) / seconds / 1e6);
}

// 0 if an episode fails, which is what a planted bug must make it do.
int find_failure(const Options& options) {
  constexpr uint64_t kSeeds = 400;
  for (uint64_t seed = options.first_seed; seed < options.first_seed + kSeeds; ++seed) {
    const std::string failure = failure_in_child(scenario_of(seed));
    if (failure.empty()) continue;
    fmt::print("caught at seed {}: {}\n", seed, failure);
    return 0;
  }
  fmt::print("not caught in {} episodes\n", kSeeds);
  return 1;
}

int run(const Options& options) {
  const std::clock_t begin = std::clock();
  Report total;
  for (uint64_t seed = options.first_seed;; ++seed) {
    if (options.episodes > 0 ? total.episodes >= options.episodes : total.steps >= options.steps) {
      break;
    }
    announce(seed);
    try {
      total.add(run_episode(scenario_of(seed)));
    } catch (const std::exception& failure) {
      fmt::print("FAILED, {}\n{}\n", describe(scenario_of(seed)), failure.what());
      if (options.shrink) fmt::print("{}\n", shrink(scenario_of(seed)));
      return 1;
    }
  }
  print(total, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  return 0;
}

}  // namespace
}  // namespace hadal::sim

int main(int argc, char** argv) {
  CLI::App app(
      "Simulates the engine on a fake runner; prints a failing seed, which replays with "
      "--seed SEED --episodes 1.");
  hadal::sim::Options options;
  app.add_option("--seed", options.first_seed, "the first seed");
  app.add_option("--steps", options.steps, "steps to run, over as many episodes as it takes");
  app.add_option("--episodes", options.episodes, "episodes to run, instead of --steps");
  app.add_flag("--shrink", options.shrink, "name the fewest requests that still fail");
  app.add_flag("--expect-failure", options.expect_failure, "succeed if and only if a seed fails");
  CLI11_PARSE(app, argc, argv);
  return options.expect_failure ? hadal::sim::find_failure(options) : hadal::sim::run(options);
}
