// Quantisation scales as they lie in a file: read unaligned, refused when they cannot be right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "hadal/base/status.h"

namespace hadal::checkpoint {

float load_f32(const std::byte* data);

// `where` names file and tensor. Refuses NaN, infinities and negative values, naming the first.
Status check_f32_scales(const std::byte* data, uint64_t count, std::string_view where);

// e4m3 has no infinity; 0x7F and 0xFF are NaN. Refuses those and negative codes.
Status check_e4m3_scales(const std::byte* data, uint64_t count, std::string_view where);

}  // namespace hadal::checkpoint
