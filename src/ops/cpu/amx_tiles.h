// The one tile configuration of this program: eight tiles of 16 rows x 64 bytes. A product takes
// the same time for one row as for sixteen, so rows are padded and nothing is reconfigured.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace hadal::ops {
namespace {

// Tiles hold state between construction and destruction; released, so that a context switch need
// not save it.
class AmxSession {
 public:
  AmxSession() {
    alignas(64) Config config{};
    config.palette = 1;
    for (int i = 0; i < 8; ++i) {
      config.row_bytes[i] = 64;
      config.rows[i] = 16;
    }
    _tile_loadconfig(&config);
  }
  ~AmxSession() { _tile_release(); }
  AmxSession(const AmxSession&) = delete;
  AmxSession& operator=(const AmxSession&) = delete;

 private:
  struct Config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  };
  static_assert(sizeof(Config) == 64);
};

}  // namespace
}  // namespace hadal::ops
