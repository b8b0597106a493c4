// What a seed decides about one simulated episode: the engine's options, the machine, the requests.
#pragma once

#include <cstdint>
#include <string>

#include "hadal/engine/engine.h"
#include "support/fake_runner.h"

namespace hadal::sim {

using test::extend;
using test::FakeModel;
using test::mix;

enum class Fault : uint8_t { kNone, kError, kThrow, kHang };

// A stream of numbers from a seed; the same on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(mix(seed + 0x632BE59BD9B4E019)) {}
  uint64_t next() { return mix(state_ += 0x9E3779B97F4A7C15); }
  // In [low, high].
  int between(int low, int high) {
    return low + static_cast<int>(next() % (static_cast<uint64_t>(high - low) + 1));
  }
  bool chance(double probability) {
    return static_cast<double>(next() >> 11) * 0x1p-53 < probability;
  }

 private:
  uint64_t state_;
};

struct Scenario {
  uint64_t seed = 0;
  EngineOptions engine;
  RunnerInfo machine;
  FakeModel model;
  int requests = 0;
  int prompt_tokens_max = 0;
  int output_tokens_max = 0;
  int shared_prefixes = 0;  // distinct ones
  bool page_edges = false;  // lengths around multiples of a page
  int choices = 1;          // siblings of one prompt
  int burst = 1;            // requests that arrive at once
  Duration between_bursts{};
  double cancels = 0;  // probability that a request is cancelled
  double stops = 0;    // probability that a request is finished from outside
  Fault fault = Fault::kNone;
  int fault_at_turn = 0;
  int recount_steps = 1000;  // steps between full recounts of all invariants
};

Scenario scenario_of(uint64_t seed);
std::string describe(const Scenario& scenario);

// One request of a scenario, and what its client will do. A function of the scenario's seed and
// `index` alone, so that a failing scenario can be shrunk by leaving requests out.
struct Arrival {
  TimePoint time;
  Request request;
  int cancel_after_turns = -1;  // after its arrival; -1: never
  int stop_at_tokens = -1;      // a "stop string" ends there; -1: never
  int stop_lag_turns = 0;       // after the token was delivered, until the engine is told
};

Arrival arrival_of(const Scenario& scenario, int index);

Duration step_duration(const Scenario& scenario, const StepPlan& plan);

}  // namespace hadal::sim
