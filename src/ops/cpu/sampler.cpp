#include "ops/cpu/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "hadal/core/noise.h"

namespace hadal::ops {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The bounds of gumbel_noise(): its uniforms lie in [2^-24, 1 - 2^-24].
constexpr float kNoiseMax = 16.7F;

// Probabilities below e^-40 of the largest are lost in the sum of a double.
constexpr float kNegligible = 40.0F;

struct Largest {
  float value;
  bool finite;  // no NaN and no +infinity
};

// Sixteen running maxima: a loop the compiler turns into vector instructions.
Largest find_largest(std::span<const float> logits) {
  constexpr size_t kWidth = 16;
  float largest[kWidth];
  bool bad[kWidth] = {};
  std::fill_n(largest, kWidth, -kInfinity);
  size_t i = 0;
  for (; i + kWidth <= logits.size(); i += kWidth) {
    for (size_t j = 0; j < kWidth; ++j) {
      const float v = logits[i + j];
      largest[j] = v > largest[j] ? v : largest[j];
      bad[j] |= !(v < kInfinity);
    }
  }
  for (size_t j = 0; i + j < logits.size(); ++j) {
    largest[j] = std::max(largest[j], logits[i + j]);
    bad[j] |= !(logits[i + j] < kInfinity);
  }
  return {*std::max_element(largest, largest + kWidth),
          std::none_of(bad, bad + kWidth, [](bool b) { return b; })};
}

}  // namespace

Sampler::Sampler(int vocab_size) {
  candidates_.reserve(static_cast<size_t>(vocab_size));
}

TokenId Sampler::argmax(std::span<const float> logits) {
  const Largest largest = find_largest(logits);
  if (!largest.finite || largest.value == -kInfinity) return kNotFiniteToken;
  return static_cast<TokenId>(std::find(logits.begin(), logits.end(), largest.value) -
                              logits.begin());
}

// Puts the k best first, in descending order; of equal logits the lower id is better.
void Sampler::sort_best(size_t k) {
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<int64_t>(k),
                    candidates_.end(), before);
}

void Sampler::keep_top_k(size_t k) {
  if (k >= candidates_.size()) return;
  sort_best(k);
  candidates_.resize(k);
}

// The smallest set whose probability reaches p, the crossing token included. Sums in double, in
// descending order of probability; sorts no more than it needs.
void Sampler::keep_top_p(float p, float largest) {
  std::erase_if(candidates_, [&](const Candidate& c) { return c.logit < largest - kNegligible; });
  double total = 0.0;
  for (const Candidate& c : candidates_) total += std::exp(double{c.logit} - largest);
  size_t sorted = 0;
  double mass = 0.0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (i == sorted) {
      sorted = std::min(candidates_.size(), std::max<size_t>(32, 4 * sorted));
      sort_best(sorted);
    }
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
  if (params.top_k > 0) keep_top_k(static_cast<size_t>(params.top_k));
  if (params.top_p < 1.0F) keep_top_p(params.top_p, largest);
  return draw(params, static_cast<uint32_t>(position), {largest, best});
}

// Gumbel-max over the candidates. Noise is bounded, so most candidates of a peaked distribution are
// out before theirs is computed.
TokenId Sampler::draw(const SamplingParams& params, uint32_t position, Candidate most_likely) {
  const auto score_of = [&](const Candidate& c) {
    return c.logit +
           gumbel_noise(params.seed, params.choice, position, static_cast<uint32_t>(c.id));
  };
  Candidate winner{score_of(most_likely), most_likely.id};  // always a candidate
  for (const Candidate& c : candidates_) {
    if (c.logit + kNoiseMax < winner.logit) continue;
    const float score = score_of(c);
    if (score > winner.logit || (score == winner.logit && c.id < winner.id)) {
      winner = {score, c.id};
    }
  }
  return winner.id;
}

}  // namespace hadal::ops
