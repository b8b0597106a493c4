#include "hadal/text/stop_matcher.h"

#include <algorithm>

#include "hadal/base/check.h"
#include "hadal/base/utf8.h"

namespace hadal {
namespace {

// [i]: length of the longest proper prefix of text[0, i) that is also its suffix. One entry more
// than the text is long: the last one continues after a match of the whole.
std::vector<uint16_t> borders_of(std::string_view text) {
  std::vector<uint16_t> borders(text.size() + 1, 0);
  size_t length = 0;
  for (size_t i = 1; i < text.size(); ++i) {
    while (length > 0 && text[i] != text[length]) length = borders[length];
    if (text[i] == text[length]) ++length;
    borders[i + 1] = static_cast<uint16_t>(length);
  }
  return borders;
}

Status check(const std::string& stop, size_t index) {
  if (stop.empty()) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("stop string {} is empty", index)};
  }
  if (stop.size() > StopStringLimits::kBytesMax) {
    return Error{ErrorCode::kTooLarge,
                 fmt::format("stop string {} has {} bytes, the limit is {}", index, stop.size(),
                             StopStringLimits::kBytesMax)};
  }
  if (find_invalid_utf8(stop) != std::string::npos) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("stop string {} is not valid UTF-8", index)};
  }
  return {};
}

}  // namespace

Result<StopMatcher> StopMatcher::create(Options options) {
  if (options.stop_strings.size() > StopStringLimits::kStringsMax) {
    return Error{ErrorCode::kTooLarge,
                 fmt::format("{} stop strings, the limit is {}", options.stop_strings.size(),
                             StopStringLimits::kStringsMax)};
  }
  for (size_t i = 0; i < options.stop_strings.size(); ++i) {
    HADAL_RETURN_IF_ERROR(check(options.stop_strings[i], i));
  }
  return StopMatcher(std::move(options));
}

StopMatcher::StopMatcher(Options options) : include_stop_string_(options.include_stop_string) {
  for (std::string& text : options.stop_strings) {
    std::vector<uint16_t> borders = borders_of(text);
    patterns_.push_back({.text = std::move(text), .borders = std::move(borders)});
  }
}

void StopMatcher::append(std::string_view text, size_t tokens, std::string& out) {
  if (match_) return;
  size_t could_begin_a_stop = 0;
  for (const char byte : text) {
    held_ += byte;
    if (const Pattern* found = advance(byte)) {
      match_ = {.index = static_cast<size_t>(found - patterns_.data()), .tokens = tokens};
      release(include_stop_string_ ? 0 : found->text.size(), out);
      held_.clear();
      return;
    }
  }
  if (!include_stop_string_) {
    for (const Pattern& pattern : patterns_) {
      could_begin_a_stop = std::max(could_begin_a_stop, pattern.matched);
    }
  }
  release(could_begin_a_stop, out);
}

// Takes one byte; returns the pattern that it completes, the longest if there are several.
const StopMatcher::Pattern* StopMatcher::advance(char byte) {
  const Pattern* found = nullptr;
  for (Pattern& pattern : patterns_) {
    size_t& matched = pattern.matched;
    while (matched > 0 && pattern.text[matched] != byte) matched = pattern.borders[matched];
    if (pattern.text[matched] == byte) ++matched;
    if (matched < pattern.text.size()) continue;
    if (found == nullptr || pattern.text.size() > found->text.size()) found = &pattern;
  }
  return found;
}

// Appends what is held but for its last `held_bytes`.
void StopMatcher::release(size_t held_bytes, std::string& out) {
  HADAL_CHECK(held_bytes <= held_.size(), "{} bytes of {} held", held_bytes, held_.size());
  const size_t count = held_.size() - held_bytes;
  out.append(held_, 0, count);
  held_.erase(0, count);
}

void StopMatcher::finish(std::string& out) {
  release(0, out);
}

}  // namespace hadal
