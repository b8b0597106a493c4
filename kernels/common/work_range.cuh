// Which part of a matrix product each block of a grid computes.
//
// The product is cut into *units* (one tile of weight rows times one tile of activation rows, the
// whole of K) and each unit into *stages* (one step of K, what one pipeline slot holds). A block
// owns a contiguous range of all stages, so every block reads the same number of weight bytes to
// within one stage, whatever the number of units is. Where a range starts or ends inside a unit,
// the unit has several *segments*, which are summed in the order of K.
//
//   units     |    0    |    1    |    2    |       3 units of 9 stages, 4 blocks
//   blocks    |  0   |   1  |  2   |   3    |       units 0, 1, 2 have 2 segments each
//
// split_stages 0 cuts only where ranges meet: fastest, but the cuts, and so the rounding, depend on
// the number of units. split_stages s > 0 cuts every unit at the multiples of s and nowhere else:
// a row's result then does not depend on the rows around it.
#pragma once

namespace hadal::kernels {

struct Segment {
  int unit = 0;
  int stage_begin = 0;  // within the unit
  int stage_end = 0;
  int ordinal = 0;  // 0-based place among the unit's segments, in the order of K
  int count = 0;    // the unit's segments
};

class WorkRange {
 public:
  // REQUIRES: split_stages is 0 or divides stages_per_unit.
  __device__ WorkRange(int units, int stages_per_unit, int split_stages)
      : stages_per_unit_(stages_per_unit), split_stages_(split_stages) {
    grain_ = split_stages == 0 ? 1 : split_stages;
    grains_ = units * (stages_per_unit / grain_);
    // Never more owners than grains: then every owner has work and owners are consecutive.
    owners_ = min(static_cast<int>(gridDim.x), grains_);
    const int block = static_cast<int>(blockIdx.x);
    if (block < owners_) {
      position_ = first_grain(block) * grain_;
      end_ = first_grain(block + 1) * grain_;
    }
  }

  // The block's next segment; false when there is none left.
  __device__ bool next(Segment& segment) {
    if (position_ >= end_) return false;
    segment.unit = position_ / stages_per_unit_;
    const int unit_begin = segment.unit * stages_per_unit_;
    int cut = min(end_, unit_begin + stages_per_unit_);
    if (split_stages_ == 0) {
      const int first = owner(unit_begin);
      segment.ordinal = static_cast<int>(blockIdx.x) - first;
      segment.count = owner(unit_begin + stages_per_unit_ - 1) - first + 1;
    } else {
      segment.ordinal = (position_ - unit_begin) / split_stages_;
      segment.count = stages_per_unit_ / split_stages_;
      cut = min(cut, unit_begin + (segment.ordinal + 1) * split_stages_);
    }
    segment.stage_begin = position_ - unit_begin;
    segment.stage_end = cut - unit_begin;
    position_ = cut;
    return true;
  }

 private:
  __device__ int first_grain(int block) const { return block * grains_ / owners_; }
  // The block whose range holds a stage, when a grain is one stage: the largest b with
  // first_grain(b) <= stage.
  __device__ int owner(int stage) const { return ((stage + 1) * owners_ - 1) / grains_; }

  int stages_per_unit_;
  int split_stages_;
  int grain_ = 1;
  int grains_ = 0;
  int owners_ = 0;
  int position_ = 0;
  int end_ = 0;
};

}  // namespace hadal::kernels
