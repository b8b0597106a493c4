// The tokens of one choice → what its client reads: detokenising, stop strings and the split into
// reasoning and content, in that order. Stop strings are looked for in all of the text, reasoning
// included.
//
// The result does not depend on how the tokens are grouped into steps.
//
// Threads: one at a time.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"
#include "hadal/text/detokenizer.h"
#include "hadal/text/reasoning_splitter.h"
#include "hadal/text/stop_matcher.h"
#include "hadal/text/tokenizer.h"

namespace hadal {

struct OutputOptions {
  struct Reasoning {
    ReasoningMarkers markers;
    ReasoningStart start = ReasoningStart::kByOutput;
  };

  bool skip_special_tokens = true;
  StopMatcher::Options stop = {};
  std::optional<Reasoning> reasoning = {};  // none: all text is content
};

class OutputDecoder {
 public:
  // Errors: those of StopMatcher::create(). REQUIRES: `tokenizer` outlives this object.
  static Result<OutputDecoder> create(const Tokenizer& tokenizer, OutputOptions options);

  // Adds the tokens of a step and appends to `out` what may be shown now. Tokens after a stop match
  // are ignored. The token that ends a sequence (EOS, a stop id) is not text: leave it out.
  void append(std::span<const TokenId> tokens, SplitText& out);

  // No more tokens will come: appends what was held back.
  void finish(SplitText& out);

  const std::optional<StopMatch>& stop_match() const { return stop_.match(); }

  // Tokens taken, none after the one that completed a stop string; and how many of them are
  // reasoning, markers included.
  size_t tokens() const { return tokens_; }
  size_t reasoning_tokens() const { return splitter_ ? splitter_->reasoning_tokens() : 0; }

 private:
  OutputDecoder(const Tokenizer& tokenizer, const OutputOptions& options, StopMatcher stop);
  void show(std::string_view text, SplitText& out);

  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  Detokenizer detokenizer_;
  StopMatcher stop_;
  std::optional<ReasoningSplitter> splitter_;
  size_t tokens_ = 0;
  size_t decoded_bytes_ = 0;
};

}  // namespace hadal
