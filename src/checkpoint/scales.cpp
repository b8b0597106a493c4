#include "checkpoint/scales.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

namespace hadal::checkpoint {

float load_f32(const std::byte* data) {
  float value = 0.0F;
  std::memcpy(&value, data, sizeof value);
  return value;
}

Status check_f32_scales(const std::byte* data, uint64_t count, std::string_view where) {
  for (uint64_t i = 0; i < count; ++i) {
    const float value = load_f32(data + i * sizeof(float));
    if (std::isfinite(value) && value >= 0.0F) continue;
    return Error{
        ErrorCode::kBadFile,
        fmt::format("{}: element {} is {}, wanted a finite scale of 0 or more", where, i, value)};
  }
  return {};
}

Status check_e4m3_scales(const std::byte* data, uint64_t count, std::string_view where) {
  constexpr unsigned kNan = 0x7F;  // every valid non-negative code is below it
  for (uint64_t i = 0; i < count; ++i) {
    const auto code = std::to_integer<unsigned>(data[i]);
    if (code < kNan) continue;
    return Error{ErrorCode::kBadFile,
                 fmt::format("{}: element {} has e4m3 code {:#04x}, wanted a finite scale of 0 or "
                             "more",
                             where, i, code)};
  }
  return {};
}

}  // namespace hadal::checkpoint
