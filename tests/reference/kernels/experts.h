// The MoE kernels' twins on the host: which rows a plan must hold, and gate_up and down in double
// precision on the operands that the kernels read.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "reference/kernels/fp8_product.h"

namespace hadal::reference {

struct Choice {
  int expert = 0;
  float weight = 0;
};

// A token's experts in index order, the shared one last; none for an inactive token.
inline std::vector<Choice> choices_of(std::span<const int> ids, std::span<const float> weights,
                                      int shared_expert) {
  std::vector<Choice> choices;
  if (ids[0] < 0) return choices;
  for (std::size_t i = 0; i < ids.size(); ++i) choices.push_back({ids[i], weights[i]});
  choices.push_back({shared_expert, 1.0f});
  std::sort(choices.begin(), choices.end(),
            [](const Choice& a, const Choice& b) { return a.expert < b.expert; });
  return choices;
}

// Rows [first, first + w.n / 2) of `w` are gate, the rest up. h of one row and channel before it is
// quantised, with the bound on the error of the two products.
inline Sum swiglu(const Fp8Matrix& x, int row, const Fp8Weight& w, int channel) {
  const Sum gate = dot(x, row, w, channel);
  const Sum up = dot(x, row, w, w.n / 2 + channel);
  const double silu = gate.value / (1.0 + std::exp(-gate.value));
  // |silu'| <= 1.1. The fast exponential is good to 2^-21, which the bound on the sums covers.
  const double error = 1.1 * gate.bound() * std::fabs(up.value) +
                       (std::fabs(silu) + 1.1 * gate.bound()) * up.bound();
  return {silu * up.value, error / kFp8SumTolerance};
}

}  // namespace hadal::reference
