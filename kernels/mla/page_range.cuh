// Which pages of which sequences each block attends to. The sequences of a batch, each once per row
// tile, are laid end to end; every block owns an equal, contiguous range of that line. As in
// common/work_range.cuh, but units (a sequence's row tile) have different lengths.
#pragma once

#include "kernels/mla/mla.h"

namespace hadal::kernels::mla {

struct Segment {
  int sequence = 0;
  int row_tile = 0;
  int page_begin = 0;
  int page_end = 0;
  int slot = -1;  // where the partial result goes; negative: the segment is the whole unit
};

// A unit's place on the line, in grains (pages, or fixed splits of split_pages pages).
struct Unit {
  int begin = 0;
  int grains = 0;
};

// REQUIRES: grains * blocks < 2^32: 16 million pages, 500 times what a GPU's memory holds.
class PageLine {
 public:
  __device__ PageLine(const Params& params, int row_tiles)
      : params_(params),
        row_tiles_(row_tiles),
        grains_(params.grains_before[params.sequences] * row_tiles),
        owners_(min(params.blocks, grains_)) {}

  __device__ int owners() const { return owners_; }
  __device__ int first_grain(int block) const {
    return static_cast<int>(static_cast<unsigned>(block) * static_cast<unsigned>(grains_) /
                            static_cast<unsigned>(owners_));
  }
  __device__ int owner(int grain) const {
    return static_cast<int>(
        (static_cast<unsigned>(grain + 1) * static_cast<unsigned>(owners_) - 1) /
        static_cast<unsigned>(grains_));
  }
  __device__ Unit unit(int sequence, int row_tile) const {
    const int before = params_.grains_before[sequence];
    const int grains = params_.grains_before[sequence + 1] - before;
    return {before * row_tiles_ + row_tile * grains, grains};
  }
  // The sequence whose part of the line holds `grain`: the last one that starts at or before it.
  __device__ int sequence_at(int grain) const {
    int low = 0;
    int high = params_.sequences - 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (params_.grains_before[middle] * row_tiles_ <= grain) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }
  // Segments of a unit, and the slot of segment `ordinal`.
  __device__ int segments(const Unit& unit) const {
    if (unit.grains == 0) return 0;
    if (params_.split_pages > 0) return unit.grains;
    return owner(unit.begin + unit.grains - 1) - owner(unit.begin) + 1;
  }
  // Without a fixed split a block leaves at most two partial results: of the unit that it enters in
  // the middle (slot 2 b) and of the one that it leaves in the middle (slot 2 b + 1).
  __device__ int slot(const Unit& unit, int ordinal) const {
    if (params_.split_pages > 0) return unit.begin + ordinal;
    const int block = owner(unit.begin) + ordinal;
    return ordinal == 0 ? 2 * block + 1 : 2 * block;
  }

 private:
  const Params& params_;
  int row_tiles_;
  int grains_;
  int owners_;
};

// Walks the segments of one block.
class SegmentCursor {
 public:
  __device__ SegmentCursor(const Params& params, int row_tiles)
      : params_(params), line_(params, row_tiles) {
    const int block = static_cast<int>(blockIdx.x);
    if (block < line_.owners()) {
      position_ = line_.first_grain(block);
      end_ = line_.first_grain(block + 1);
      sequence_ = line_.sequence_at(position_);
    }
  }

  __device__ bool next(Segment& segment) {
    if (position_ >= end_) return false;
    Unit unit = line_.unit(sequence_, row_tile_);
    while (position_ >= unit.begin + unit.grains) {
      const bool sequence_done = unit.grains == 0 || ++row_tile_ == row_tiles();
      if (sequence_done) {
        ++sequence_;
        row_tile_ = 0;
      }
      unit = line_.unit(sequence_, row_tile_);
    }
    const bool fixed = params_.split_pages > 0;
    const int cut = fixed ? position_ + 1 : min(end_, unit.begin + unit.grains);
    const int pages_of_grain = fixed ? params_.split_pages : 1;
    const int pages = ceil_div(params_.context[sequence_], kPageTokens);
    segment.sequence = sequence_;
    segment.row_tile = row_tile_;
    segment.page_begin = (position_ - unit.begin) * pages_of_grain;
    segment.page_end = min(pages, (cut - unit.begin) * pages_of_grain);
    const int ordinal =
        fixed ? position_ - unit.begin : static_cast<int>(blockIdx.x) - line_.owner(unit.begin);
    segment.slot = line_.segments(unit) > 1 ? line_.slot(unit, ordinal) : -1;
    position_ = cut;
    return true;
  }

 private:
  __device__ int row_tiles() const { return row_tiles_of(params_); }
  static __device__ int row_tiles_of(const Params& p) {
    return ceil_div(p.rows(), row_tile_for(p.rows(), p.format));
  }

  const Params& params_;
  PageLine line_;
  int position_ = 0;
  int end_ = 0;
  int sequence_ = 0;
  int row_tile_ = 0;
};

}  // namespace hadal::kernels::mla
