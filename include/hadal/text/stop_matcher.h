// Finds stop strings in generated text as it arrives, and says how much of the text may be shown.
//
// The earliest match is the one whose last byte comes first; of several that end on the same byte
// the longest wins. The result is thus the same however the text is cut into calls, and generation
// never runs past a stop string. Text is held back only while it could still be the beginning of a
// stop string (at most its length - 1 bytes).
//
// Cost: at most about two comparisons per byte and stop string (Knuth-Morris-Pratt).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/base/status.h"

namespace hadal {

struct StopStringLimits {
  static constexpr size_t kStringsMax = 16;
  static constexpr size_t kBytesMax = 256;  // each
};

struct StopMatch {
  size_t index = 0;   // which stop string
  size_t tokens = 0;  // generated tokens up to and including the one that completed it
};

class StopMatcher {
 public:
  struct Options {
    std::vector<std::string> stop_strings;
    bool include_stop_string = false;  // the text keeps it; nothing is held back then
  };

  // kInvalidArgument: a stop string is empty or not UTF-8; kTooLarge: over StopStringLimits.
  static Result<StopMatcher> create(Options options);

  // Adds the text of one token. `tokens`: generated tokens so far, this one included.
  // Appends to `out` what may be shown now. After a match: does nothing.
  void append(std::string_view text, size_t tokens, std::string& out);

  // No more text will come: appends what was held back. After a match nothing is.
  void finish(std::string& out);

  const std::optional<StopMatch>& match() const { return match_; }

 private:
  struct Pattern {
    std::string text;
    std::vector<uint16_t> borders;  // [i]: longest prefix of text[0, i) that also ends it
    size_t matched = 0;             // how much of `text` the stream so far ends with
  };

  explicit StopMatcher(Options options);
  const Pattern* advance(char byte);
  void release(size_t held_bytes, std::string& out);

  std::vector<Pattern> patterns_;
  bool include_stop_string_;
  std::string held_;
  std::optional<StopMatch> match_;
};

}  // namespace hadal
