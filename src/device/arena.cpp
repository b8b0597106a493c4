#include "hadal/device/arena.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>

namespace hadal::device {

Arena::Arena(void* block, std::size_t capacity_bytes)
    : block_(static_cast<std::byte*>(block)), capacity_bytes_(capacity_bytes) {
  HADAL_CHECK(reinterpret_cast<std::uintptr_t>(block) % 256 == 0, "block must be 256-aligned");
}

Result<void*> Arena::take(std::size_t size_bytes, std::size_t alignment) {
  HADAL_CHECK(std::has_single_bit(alignment) && alignment <= 256, "alignment {}", alignment);
  const std::size_t begin = (used_bytes_ + alignment - 1) & ~(alignment - 1);
  if (begin > capacity_bytes_ || size_bytes > capacity_bytes_ - begin) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("workspace: wanted {} bytes, {} of {} are used", size_bytes,
                             used_bytes_, capacity_bytes_)};
  }
  used_bytes_ = begin + size_bytes;
  high_water_bytes_ = std::max(high_water_bytes_, used_bytes_);
  return static_cast<void*>(block_ + begin);
}

void Arena::rewind(Mark mark) {
  const auto position = static_cast<std::size_t>(mark);
  HADAL_CHECK(position <= used_bytes_, "mark {} is ahead of {}", position, used_bytes_);
  used_bytes_ = position;
}

}  // namespace hadal::device
