// Seeded mutations of a good file. The parser must refuse each or give entries that lie inside the
// file; the sanitizer builds see to the rest.
#include <gtest/gtest.h>

#include <random>

#include "checkpoint/safetensors.h"
#include "support/checkpoint_files.h"

namespace hadal::checkpoint {
namespace {

constexpr uint32_t kSeed = 20251;
constexpr int kMutations = 20'000;

std::string good_file() {
  return test::safetensors_file({{"model.a.weight", "F8_E4M3", {4, 8}, std::string(32, 'a')},
                                 {"model.a.weight_scale_inv", "F32", {1, 1}, std::string(4, 'b')},
                                 {"model.b", "BF16", {3}, std::string(6, 'c')},
                                 {"scalar", "F32", {}, std::string(4, 'd')}});
}

// One of: flip a bit, overwrite with a telling character, insert, delete, cut, repeat a stretch.
void mutate(std::string& file, std::mt19937& random) {
  static constexpr std::string_view kTelling = "0123456789-+.eE[]{}:,\"\\ \n\xff\x00u";
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  if (file.empty()) return;
  const size_t at = below(file.size());
  switch (below(6)) {
    case 0:
      file[at] = static_cast<char>(file[at] ^ (1 << below(8)));
      break;
    case 1:
      file[at] = kTelling[below(kTelling.size())];
      break;
    case 2:
      file.insert(at, 1, kTelling[below(kTelling.size())]);
      break;
    case 3:
      file.erase(at, 1);
      break;
    case 4:
      file.resize(at);
      break;
    case 5:
      file.insert(at, file.substr(at, 1 + below(24)));
      break;
  }
}

// A length word that fits, so that most mutations reach the JSON.
void repair_length(std::string& file, std::mt19937& random) {
  if (file.size() < sizeof(uint64_t) || random() % 8 == 0) return;
  const size_t end = file.rfind('}');
  const uint64_t length = end == std::string::npos || end < 8 ? 0 : end + 1 - 8;
  std::memcpy(file.data(), &length, sizeof length);
}

TEST(SafetensorsFuzz, MutatedFilesAreRefusedOrConsistent) {
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  int accepted = 0;
  for (int i = 0; i < kMutations; ++i) {
    std::string file = good_file();
    const int count = 1 + static_cast<int>(random() % 4);
    for (int j = 0; j < count; ++j) mutate(file, random);
    repair_length(file, random);
    const auto entries = parse_safetensors_header(std::as_bytes(std::span(file)), "f");
    if (!entries) {
      EXPECT_EQ(entries.error().message.find('\n'), std::string::npos) << entries.error().message;
      continue;
    }
    ++accepted;
    for (const TensorEntry& entry : *entries) {
      ASSERT_LE(entry.begin, entry.end);
      ASSERT_LE(entry.end, file.size());
    }
  }
  // Mutations of the data or of names leave a good file; if none was accepted, nothing was tested.
  EXPECT_GT(accepted, kMutations / 100);
  EXPECT_LT(accepted, kMutations);
}

TEST(SafetensorsFuzz, EveryTruncationIsRefused) {
  const std::string file = good_file();
  for (size_t size = 0; size < file.size(); ++size) {
    const std::string cut = file.substr(0, size);
    EXPECT_FALSE(parse_safetensors_header(std::as_bytes(std::span(cut)), "f").ok()) << size;
  }
}

}  // namespace
}  // namespace hadal::checkpoint
