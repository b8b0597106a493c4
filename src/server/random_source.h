// Ids that cannot be guessed, and seeds for requests that bring none.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

namespace hadal {

// 128 bits from the operating system, as 32 hexadecimal digits.
std::string random_id();

// A repeatable stream of seeds if it was given one, else a random one. Any thread.
class SeedSource {
 public:
  explicit SeedSource(std::optional<uint64_t> seed);
  uint64_t next();

 private:
  uint64_t key_;
  std::atomic<uint32_t> drawn_{0};
};

}  // namespace hadal
