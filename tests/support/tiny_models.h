// The three forms of tiny-r1. FP8 is bundled; the others are made by the build (ctest fixture
// tiny_r1_formats), and a test that needs them fails where they are missing.
#pragma once

#include <filesystem>
#include <string>

#include "hadal/base/check.h"
#include "hadal/checkpoint/checkpoint.h"

namespace hadal::test {

inline std::filesystem::path tiny_r1_folder(const std::string& format) {
  if (format == "fp8") return std::filesystem::path(HADAL_SOURCE_DIR) / "tests/models/tiny-r1";
  return std::filesystem::path(HADAL_BINARY_DIR) / "models" / ("tiny-r1-" + format);
}

inline Checkpoint open_tiny_r1(const std::string& format) {
  Result<Checkpoint> checkpoint = Checkpoint::open(tiny_r1_folder(format));
  HADAL_CHECK(checkpoint.ok(), "{}; scripts/tiny_r1/make_formats.py makes it",
              checkpoint.error().message);
  return std::move(checkpoint).value();
}

}  // namespace hadal::test
