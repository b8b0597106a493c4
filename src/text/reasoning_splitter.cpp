#include "hadal/text/reasoning_splitter.h"

#include <algorithm>

#include "hadal/base/check.h"

namespace hadal {

Result<ReasoningMarkers> ReasoningMarkers::find(const Tokenizer& tokenizer) {
  ReasoningMarkers markers;
  for (const auto& [content, id] :
       {std::pair{"<think>", &markers.open}, std::pair{"</think>", &markers.close}}) {
    const std::optional<TokenId> found = tokenizer.find_added_token(content);
    if (!found) {
      return Error{
          ErrorCode::kUnsupported,
          fmt::format("tokenizer.json: added_tokens lacks {}, which marks reasoning", content)};
    }
    *id = *found;
  }
  return markers;
}

ReasoningStart reasoning_start(const Tokenizer& tokenizer, const ReasoningMarkers& markers,
                               std::span<const TokenId> prompt) {
  const auto last = std::find_if(prompt.rbegin(), prompt.rend(),
                                 [&](TokenId id) { return tokenizer.is_added(id); });
  if (last == prompt.rend()) return ReasoningStart::kByOutput;
  if (*last == markers.open) return ReasoningStart::kOpen;
  return *last == markers.close ? ReasoningStart::kClosed : ReasoningStart::kByOutput;
}

ReasoningSplitter::ReasoningSplitter(ReasoningMarkers markers, ReasoningStart start)
    : markers_(markers), part_(Part::kUndecided) {
  if (start == ReasoningStart::kOpen) enter(Part::kReasoning);
  if (start == ReasoningStart::kClosed) enter(Part::kContent);
}

void ReasoningSplitter::observe(TokenId token, size_t spelled_bytes, size_t text_end) {
  ++tokens_;
  if (token != markers_.open && token != markers_.close) return;
  HADAL_CHECK(text_end >= taken_ + spelled_bytes, "a marker that ends at byte {} comes after {}",
              text_end, taken_);
  pending_.push_back({.begin = text_end - spelled_bytes,
                      .end = text_end,
                      .opens = token == markers_.open,
                      .tokens = tokens_});
}

void ReasoningSplitter::append(std::string_view text, SplitText& out) {
  while (!pending_.empty()) {
    const Marker& marker = pending_.front();
    if (taken_ < marker.begin) take(text, marker.begin - taken_, true, out);
    if (taken_ < marker.begin) return;
    // A marker without text (a special token that is skipped) is crossed where it stands.
    if (text.empty() && taken_ < marker.end) return;
    if (taken_ == marker.begin) keep_marker_text_ = cross(marker);
    take(text, marker.end - taken_, keep_marker_text_, out);
    if (taken_ < marker.end) return;
    pending_.pop_front();
  }
  take(text, text.size(), true, out);
}

// Moves up to `bytes` of `text` behind us, and into `out` if they are kept.
void ReasoningSplitter::take(std::string_view& text, size_t bytes, bool keep, SplitText& out) {
  const std::string_view taken = text.substr(0, bytes);
  if (keep) append_plain(taken, out);
  taken_ += taken.size();
  text.remove_prefix(taken.size());
}

void ReasoningSplitter::append_plain(std::string_view text, SplitText& out) {
  if (part_ == Part::kUndecided) {
    blanks_ += text;
    const bool blank = blanks_.find_first_not_of(" \t\r\n") == std::string::npos;
    if (blank && blanks_.size() <= kBlankBytesMax) return;
    const std::string first = std::move(blanks_);
    enter(Part::kContent);
    append_plain(first, out);
    return;
  }
  if (trimming_) {
    text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
    if (text.empty()) return;
    trimming_ = false;
  }
  (part_ == Part::kReasoning ? out.reasoning : out.content) += text;
}

// Applies a marker that has been reached; returns whether its text is kept.
bool ReasoningSplitter::cross(const Marker& marker) {
  if (part_ == Part::kContent) return true;
  if (marker.opens) {
    if (part_ == Part::kUndecided) enter(Part::kReasoning);
  } else {
    reasoning_tokens_ = marker.tokens;
    enter(Part::kContent);
  }
  return false;
}

void ReasoningSplitter::enter(Part part) {
  part_ = part;
  trimming_ = true;
  blanks_.clear();
  if (part == Part::kReasoning) reasoned_ = true;
}

void ReasoningSplitter::finish(SplitText& out) {
  if (part_ != Part::kUndecided) return;
  const std::string blanks = std::move(blanks_);
  enter(Part::kContent);
  append_plain(blanks, out);
}

size_t ReasoningSplitter::reasoning_tokens() const {
  if (!reasoned_) return 0;
  return part_ == Part::kReasoning ? tokens_ : reasoning_tokens_;
}

}  // namespace hadal
