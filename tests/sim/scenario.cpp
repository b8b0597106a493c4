#include "sim/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hadal::sim {
namespace {

int prompt_length(const Scenario& scenario, Random& random) {
  if (!scenario.page_edges || random.chance(0.3))
    return random.between(1, scenario.prompt_tokens_max);
  const int pages = random.between(1, std::max(scenario.prompt_tokens_max / kPageTokens, 1));
  return std::clamp(pages * kPageTokens + random.between(-1, 1), 1, scenario.prompt_tokens_max);
}

}  // namespace

Scenario scenario_of(uint64_t seed) {
  Random random(seed);
  Scenario s{.seed = seed};
  s.engine.drafts = random.chance(0.2) ? 0 : random.between(1, kDraftsMax);
  s.engine.steps_in_flight_max = random.between(1, 3);
  s.engine.prefix_cache = random.chance(0.75);
  s.engine.watchdog = std::chrono::seconds(10);
  s.engine.limits.max_num_seqs = random.chance(0.1) ? random.between(1, 8) : random.between(16, 64);
  s.engine.limits.max_num_batched_tokens =
      random.chance(0.1) ? random.between(1 + s.engine.drafts, 64) : random.between(128, 1024);
  s.prompt_tokens_max = random.chance(0.2) ? 700 : 150;
  s.output_tokens_max = random.chance(0.2) ? 400 : 100;
  const int longest = s.prompt_tokens_max + s.output_tokens_max + 2 * s.engine.drafts;
  const int pages_min = (longest + kPageTokens - 1) / kPageTokens;
  // From "one sequence just fits" to "no shortage ever".
  s.machine = {.slots = s.engine.limits.max_num_seqs,
               .pages_total = 1 + pages_min + random.between(0, random.chance(0.15) ? 8 : 200),
               .positions_max = longest,
               .vocab_size = 500,
               .drafts_max = kDraftsMax,
               .query_tokens_max = 1024};
  s.model = {.vocab_size = 500,
             .acceptance = 0.05 * random.between(0, 20),
             .eos_period = random.chance(0.5) ? random.between(10, 400) : 0};
  s.requests = random.between(20, 400);
  s.shared_prefixes = random.between(1, 4);
  s.page_edges = random.chance(0.5);
  s.choices = random.chance(0.3) ? random.between(2, 5) : 1;
  s.burst = random.chance(0.3) ? random.between(2, 32) : 1;
  s.between_bursts =
      std::chrono::microseconds(random.between(0, random.chance(0.15) ? 3000 : 250) * s.burst);
  s.cancels = random.chance(0.5) ? 0.2 : 0;
  s.stops = random.chance(0.5) ? 0.3 : 0;
  if (random.chance(0.05)) {
    s.fault = static_cast<Fault>(random.between(1, 3));
    s.fault_at_turn = random.between(1, 300);
  }
  return s;
}

std::string describe(const Scenario& s) {
  return fmt::format(
      "seed {}: K {}, {} in flight, {} sequences, {} tokens a step, {} pages, cache {}, acceptance "
      "{}, {} requests of <= {} + {} tokens, bursts of {}, cancels {}, stops {}, fault {} at {}",
      s.seed, s.engine.drafts, s.engine.steps_in_flight_max, s.engine.limits.max_num_seqs,
      s.engine.limits.max_num_batched_tokens, s.machine.pages_total, s.engine.prefix_cache,
      s.model.acceptance, s.requests, s.prompt_tokens_max, s.output_tokens_max, s.burst, s.cancels,
      s.stops, static_cast<int>(s.fault), s.fault_at_turn);
}

Arrival arrival_of(const Scenario& scenario, int index) {
  // Siblings are neighbours with the prompt of the first of them.
  const int choice = index % scenario.choices;
  Random prompt_random(mix(scenario.seed) + static_cast<uint64_t>(index - choice));
  Random random(mix(scenario.seed + 1) + static_cast<uint64_t>(index));
  Arrival arrival;
  arrival.time = TimePoint{(index / scenario.burst) * scenario.between_bursts};
  Request& request = arrival.request;
  request.prompt.resize(prompt_length(scenario, prompt_random));
  const auto prefix = prompt_random.next() % static_cast<uint64_t>(scenario.shared_prefixes);
  const auto shared = prompt_random.next() % (request.prompt.size() + 1);
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    const uint64_t hash = i < shared ? mix(mix(scenario.seed ^ prefix) + i) : prompt_random.next();
    request.prompt[i] =
        static_cast<TokenId>(hash % static_cast<uint64_t>(scenario.model.vocab_size));
  }
  request.cache_salt = prompt_random.chance(0.1) ? "other" : "";
  if (choice > 0) request.leader = RequestId{static_cast<uint64_t>(index - choice) + 1};
  request.sampling.max_tokens =
      random.chance(0.1) ? 1 : random.between(1, scenario.output_tokens_max);
  request.sampling.temperature = random.chance(0.5) ? 0.0F : 1.0F;
  request.sampling.ignore_eos = random.chance(0.5);
  request.sampling.seed = static_cast<uint64_t>(index);
  if (random.chance(0.2)) {
    request.sampling.stop_token_ids = {random.between(0, scenario.model.vocab_size - 1)};
  }
  if (random.chance(scenario.cancels)) arrival.cancel_after_turns = random.between(0, 60);
  if (random.chance(scenario.stops)) {
    arrival.stop_at_tokens = random.between(1, request.sampling.max_tokens);
    arrival.stop_lag_turns = random.between(0, 5);
  }
  return arrival;
}

Duration step_duration(const Scenario& scenario, const StepPlan& plan) {
  const uint64_t jitter = mix(scenario.seed ^ plan.step) % 400;
  return std::chrono::microseconds(800 + jitter + 5 * static_cast<uint64_t>(plan.query_tokens()));
}

}  // namespace hadal::sim
