// Splits what a reasoning model writes into reasoning and content, as it arrives.
//
// DeepSeek-R1 writes `<think>\n…\n</think>\n\nanswer`. The two markers are tokens of their own, so
// they are recognised by token id: a model that spells "</think>" in ordinary tokens (quoting it)
// does not end its reasoning. The markers themselves are dropped.
//
// Where the output starts follows from the prompt's last added token (reasoning_start()):
//   kOpen      <think> (templates that open the block themselves, R1 of February 2025): everything
//              up to </think> is reasoning; without a </think> all of it is.
//   kClosed    </think>: everything is content.
//   kByOutput  another one (R1-0528, whose template leaves it to the model): the output is
//              reasoning if it begins with <think>, blanks before it aside; else it is all content.
// The last rule is where we leave vLLM's deepseek_r1 parser, which files an answer without any
// think block under reasoning: a client that reads `content` then sees an empty answer. An output
// that begins with <think> and one from an opened prompt are split exactly as vLLM does.
//
// Once content has begun it ends with the output; think markers in it stay as text, so nothing that
// was written is lost. Reasoning and content each lose their leading newlines, which are the
// format's and not the author's.
//
// The result does not depend on how the text is cut into calls.
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <string>
#include <string_view>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"
#include "hadal/text/tokenizer.h"

namespace hadal {

struct ReasoningMarkers {
  TokenId open = kNoToken;   // <think>
  TokenId close = kNoToken;  // </think>

  // kUnsupported: the tokenizer lacks one of them.
  static Result<ReasoningMarkers> find(const Tokenizer& tokenizer);
};

enum class ReasoningStart { kOpen, kClosed, kByOutput };

ReasoningStart reasoning_start(const Tokenizer& tokenizer, const ReasoningMarkers& markers,
                               std::span<const TokenId> prompt);

struct SplitText {
  std::string reasoning;
  std::string content;
};

class ReasoningSplitter {
 public:
  // Blanks before <think> are held back up to this many bytes; longer ones are content.
  static constexpr size_t kBlankBytesMax = 64;

  ReasoningSplitter(ReasoningMarkers markers, ReasoningStart start);

  // Tells where a token's text lies in the decoded output: it is `spelled_bytes` long and ends at
  // byte `text_end`, counted from the output's start. REQUIRES: called for every token in order,
  // before append() gets its text.
  void observe(TokenId token, size_t spelled_bytes, size_t text_end);

  // Takes the next bytes of the decoded output, which may lag behind the observed tokens.
  void append(std::string_view text, SplitText& out);

  // No more text will come.
  void finish(SplitText& out);

  // Tokens observed so far that are not part of the content: up to and including </think>.
  size_t reasoning_tokens() const;

 private:
  enum class Part { kUndecided, kReasoning, kContent };
  struct Marker {
    size_t begin = 0;  // bytes of the decoded output
    size_t end = 0;
    bool opens = false;
    size_t tokens = 0;  // observed up to and including this one
  };

  void append_plain(std::string_view text, SplitText& out);
  void take(std::string_view& text, size_t bytes, bool keep, SplitText& out);
  bool cross(const Marker& marker);
  void enter(Part part);

  ReasoningMarkers markers_;
  Part part_;
  bool trimming_ = true;           // at the start of a part, before its first non-newline
  bool keep_marker_text_ = false;  // of the marker at the front of the queue
  std::string blanks_;             // in kUndecided: text so far, all of it blank
  std::deque<Marker> pending_;     // observed, not yet fully taken
  size_t taken_ = 0;               // bytes of the decoded output given to append()
  size_t tokens_ = 0;              // observed
  bool reasoned_ = false;          // the output had a reasoning part
  size_t reasoning_tokens_ = 0;    // once the reasoning part has ended
};

}  // namespace hadal
