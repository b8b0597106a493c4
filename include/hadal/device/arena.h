// Hands out pieces of one block of memory in stack order, without touching the device.
//
// Workspaces of a step live here: the block is sized once from the limits, each operation takes
// what it needs and the step rewinds to its mark. Pieces of one step that are live together never
// overlap; pieces taken after a rewind reuse the bytes, which is safe because the work that used
// them before is earlier on the same stream.
//
// Invariants: (1) 0 <= used <= high_water <= capacity. (2) every piece lies inside the block and
// starts at a multiple of its alignment. Threads: one at a time.
#pragma once

#include <cstddef>

#include "hadal/base/status.h"

namespace hadal::device {

class Arena {
 public:
  // A position to rewind to. Only valid for the arena that gave it.
  enum class Mark : std::size_t {};

  // REQUIRES: `block` is aligned to 256 bytes (as DeviceBuffer is) and outlives the arena.
  Arena(void* block, std::size_t capacity_bytes);

  // The next piece, or kResourceExhausted naming wanted, used and capacity; a refusal changes
  // nothing. REQUIRES: alignment is a power of two, at most 256.
  Result<void*> take(std::size_t size_bytes, std::size_t alignment = 256);

  template <typename T>
  Result<T*> take_array(std::size_t count) {
    HADAL_ASSIGN_OR_RETURN(void* piece, take(count * sizeof(T)));
    return static_cast<T*>(piece);
  }

  Mark mark() const { return Mark{used_bytes_}; }
  // Gives back everything taken since `mark`. REQUIRES: mark <= used.
  void rewind(Mark mark);

  std::size_t used_bytes() const { return used_bytes_; }
  std::size_t high_water_bytes() const { return high_water_bytes_; }
  std::size_t capacity_bytes() const { return capacity_bytes_; }

 private:
  std::byte* block_;
  std::size_t capacity_bytes_;
  std::size_t used_bytes_ = 0;
  std::size_t high_water_bytes_ = 0;
};

}  // namespace hadal::device
