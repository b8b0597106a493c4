// What one step verified for a sequence. A sequence keeps one byte of it beside the first output
// token that the step emitted: draft j (1 …) is for the token j - 1 places after that one.
#pragma once

#include <cstdint>

namespace hadal {

struct Verification {
  int32_t proposed = 0;  // 1 … 7, or the byte would mean "none"
  int32_t accepted = 0;

  uint8_t encoded() const { return static_cast<uint8_t>(proposed << 4 | accepted); }
  static Verification decode(uint8_t byte) { return {byte >> 4, byte & 15}; }
};

}  // namespace hadal
