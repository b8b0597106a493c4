#include "server/random_source.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>

#include "hadal/base/check.h"
#include "hadal/core/noise.h"

namespace hadal {
namespace {

std::array<uint64_t, 2> random_words() {
  std::array<uint64_t, 2> words{};
  const ssize_t got = getrandom(words.data(), sizeof(words), 0);
  HADAL_CHECK(got == static_cast<ssize_t>(sizeof(words)), "getrandom gave {} bytes", got);
  return words;
}

}  // namespace

std::string random_id() {
  const auto words = random_words();
  return fmt::format("{:016x}{:016x}", words[0], words[1]);
}

SeedSource::SeedSource(std::optional<uint64_t> seed) : key_(seed.value_or(random_words()[0])) {}

uint64_t SeedSource::next() {
  const uint32_t index = drawn_.fetch_add(1, std::memory_order_relaxed);
  const auto words = philox4x32({index, 0, 0, 0},
                                {static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)});
  return (uint64_t{words[1]} << 32) | words[0];
}

}  // namespace hadal
