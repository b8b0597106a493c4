// Rotary embedding. cos and sin of position * frequency come from two small tables by the addition
// theorem, in double precision: position = kFine * coarse + fine. A table of every position would
// take 40 MB at R1's 163,840 positions; the double products round to the same fp32 values to within
// one unit in the last place.
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/core/model_spec.h"

namespace hadal::ops {

class RopeTable {
 public:
  RopeTable() = default;
  RopeTable(const ModelSpec& spec, int64_t positions_max);

  int64_t positions_max() const { return positions_max_; }
  // cos and sin [qk_rope_head_dim / 2] at `position`. REQUIRES: 0 <= position < positions_max.
  void at(int64_t position, float* cosines, float* sines) const;

 private:
  static constexpr int64_t kFine = 256;
  int64_t positions_max_ = 0;
  int64_t pairs_ = 0;
  struct Angle {
    double cosine, sine;
  };
  std::vector<Angle> fine_;    // [kFine, pairs]
  std::vector<Angle> coarse_;  // [ceil(positions_max / kFine), pairs]
};

// Rotates interleaved pairs: (x[2j], x[2j+1]) by the j-th angle. `out` may be x.
inline void rotate_pairs(float* out, const float* x, const float* cosines, const float* sines,
                         int pairs) {
  for (int j = 0; j < pairs; ++j) {
    const float a = x[2 * j], b = x[2 * j + 1];
    out[2 * j] = a * cosines[j] - b * sines[j];
    out[2 * j + 1] = a * sines[j] + b * cosines[j];
  }
}

}  // namespace hadal::ops
