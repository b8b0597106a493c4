#include "ops/cpu/rope.h"

#include <cmath>

#include "hadal/base/check.h"

namespace hadal::ops {

RopeTable::RopeTable(const ModelSpec& spec, int64_t positions_max)
    : positions_max_(positions_max), pairs_(spec.qk_rope_head_dim / 2) {
  std::vector<double> frequencies(static_cast<size_t>(pairs_));
  yarn_inv_freq(spec, frequencies.data());
  const auto fill = [&](std::vector<Angle>& table, int64_t count, int64_t step) {
    for (int64_t i = 0; i < count; ++i) {
      for (const double frequency : frequencies) {
        const double angle = static_cast<double>(i * step) * frequency;
        table.push_back({std::cos(angle), std::sin(angle)});
      }
    }
  };
  fill(fine_, kFine, 1);
  fill(coarse_, (positions_max + kFine - 1) / kFine, kFine);
}

void RopeTable::at(int64_t position, float* cosines, float* sines) const {
  HADAL_CHECK(position >= 0 && position < positions_max_, "position {} of {}", position,
              positions_max_);
  const Angle* const a = coarse_.data() + position / kFine * pairs_;
  const Angle* const b = fine_.data() + position % kFine * pairs_;
  for (int64_t j = 0; j < pairs_; ++j) {
    cosines[j] = static_cast<float>(a[j].cosine * b[j].cosine - a[j].sine * b[j].sine);
    sines[j] = static_cast<float>(a[j].sine * b[j].cosine + a[j].cosine * b[j].sine);
  }
}

}  // namespace hadal::ops
