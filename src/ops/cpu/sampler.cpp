#include "ops/cpu/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "hadal/core/noise.h"

namespace hadal::ops {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

Sampler::Sampler(int vocab_size) {
  candidates_.reserve(static_cast<size_t>(vocab_size));
}

TokenId Sampler::argmax(std::span<const float> logits) {
  size_t best = 0;
  bool finite = true;
  for (size_t i = 0; i < logits.size(); ++i) {
    finite = finite && logits[i] < kInfinity;  // false for NaN, too
    if (logits[i] > logits[best]) best = i;
  }
  if (!finite || logits[best] == -kInfinity) return kNotFiniteToken;
  return static_cast<TokenId>(best);
}

// Leaves the k best, in descending order.
void Sampler::keep_top_k(int k) {
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const auto count = std::min(static_cast<size_t>(k), candidates_.size());
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<int64_t>(count),
                    candidates_.end(), before);
  candidates_.resize(count);
}

// The smallest set whose probability reaches p, the crossing token included. Sums in double, in
// descending order of probability.
void Sampler::keep_top_p(float p, float largest) {
  keep_top_k(static_cast<int>(candidates_.size()));
  double total = 0.0;
  for (const Candidate& c : candidates_) total += std::exp(double{c.logit} - largest);
  double mass = 0.0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    mass += std::exp(double{candidates_[i].logit} - largest);
    if (mass >= double{p} * total) {
      candidates_.resize(i + 1);
      return;
    }
  }
}

TokenId Sampler::sample(std::span<const float> logits, const SamplingParams& params,
                        int32_t position) {
  const TokenId best = argmax(logits);
  if (best == kNotFiniteToken || params.greedy()) return best;
  const float inverse = 1.0F / params.temperature;
  const float largest = logits[static_cast<size_t>(best)] * inverse;
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] != -kInfinity) {
      candidates_.push_back({logits[i] * inverse, static_cast<TokenId>(i)});
    }
  }
  if (params.top_k > 0) keep_top_k(params.top_k);
  if (params.top_p < 1.0F) keep_top_p(params.top_p, largest);

  Candidate winner{-kInfinity, best};
  for (const Candidate& c : candidates_) {
    const float score =
        c.logit + gumbel_noise(params.seed, params.choice, static_cast<uint32_t>(position),
                               static_cast<uint32_t>(c.id));
    if (score > winner.logit || (score == winner.logit && c.id < winner.id)) {
      winner = {score, c.id};
    }
  }
  return winner.id;
}

}  // namespace hadal::ops
