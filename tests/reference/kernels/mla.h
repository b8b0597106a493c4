// MLA decode in double precision: one row of queries against one sequence's dequantised cache.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace hadal::reference {

struct AttendedRow {
  std::vector<double> value;
  std::vector<double> magnitude;  // sum of probability * |latent|, what a bound is a part of
};

// `latent` [tokens, 512], `key` [tokens, 64]; the row sees the first `visible` tokens.
inline AttendedRow attend(std::span<const double> q_latent, std::span<const double> q_rope,
                          const std::vector<double>& latent, const std::vector<double>& key,
                          int visible, double scale) {
  const std::size_t width = q_latent.size();
  std::vector<double> logits;
  for (std::size_t t = 0; t < static_cast<std::size_t>(visible); ++t) {
    double dot = 0;
    for (std::size_t i = 0; i < width; ++i) dot += q_latent[i] * latent[t * width + i];
    for (std::size_t i = 0; i < q_rope.size(); ++i) dot += q_rope[i] * key[t * q_rope.size() + i];
    logits.push_back(dot * scale);
  }
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double& x : logits) sum += x = std::exp(x - largest);
  AttendedRow row{std::vector<double>(width), std::vector<double>(width)};
  for (std::size_t t = 0; t < logits.size(); ++t) {
    for (std::size_t i = 0; i < width; ++i) {
      const double term = logits[t] / sum * latent[t * width + i];
      row.value[i] += term;
      row.magnitude[i] += std::fabs(term);
    }
  }
  return row;
}

}  // namespace hadal::reference
