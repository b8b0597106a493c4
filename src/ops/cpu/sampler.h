// Chooses a token from one row of logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "hadal/core/sampling_params.h"

namespace hadal::ops {

// What a draw says when the row has a NaN or +infinity, or nothing but -infinity.
inline constexpr TokenId kNotFiniteToken = -2;

class Sampler {
 public:
  explicit Sampler(int vocab_size);

  // The most likely id, the lowest on ties; kNotFiniteToken.
  static TokenId argmax(std::span<const float> logits);

  // The draw at absolute position `position` under `params` (sampling_params.h): greedy or
  // temperature -> top-k -> top-p -> Gumbel-max with the noise of (seed, choice, position, id).
  // Of equal logits at the edge of top-k or top-p the lower ids are kept.
  TokenId sample(std::span<const float> logits, const SamplingParams& params, int32_t position);

 private:
  struct Candidate {
    float logit;  // after temperature
    TokenId id;
  };
  void sort_best(size_t k);
  void keep_top_k(size_t k);
  void keep_top_p(float p, float largest);
  TokenId draw(const SamplingParams& params, uint32_t position, Candidate most_likely);

  std::vector<Candidate> candidates_;
};

}  // namespace hadal::ops
