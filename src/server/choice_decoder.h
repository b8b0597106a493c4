// The engine's events of one choice → what its client is told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hadal/core/request.h"
#include "hadal/text/output_decoder.h"
#include "hadal/text/tokenizer.h"
#include "server/generation.h"

namespace hadal {

class ChoiceDecoder {
 public:
  // Errors: those of OutputDecoder::create. REQUIRES: `tokenizer` outlives this.
  static Result<ChoiceDecoder> create(const Tokenizer& tokenizer, OutputOptions options,
                                      int choice);

  // Takes events in order; none after one with an end.
  ChoiceUpdate consume(const OutputEvent& event);

  // The output tokens through the one that completed a stop string, once there is one: what the
  // engine still makes is dropped here.
  std::optional<int64_t> matched_at() const;

 private:
  ChoiceDecoder(OutputDecoder decoder, const StopMatcher::Options& stop, int choice,
                TokenId eos_id);
  ChoiceEnd make_end(const OutputEvent& event) const;

  OutputDecoder decoder_;
  std::vector<std::string> stop_strings_;
  bool include_stop_;  // a stop token's text too
  int choice_;
  TokenId eos_id_;
  int64_t tokens_ = 0;  // delivered by the engine
};

}  // namespace hadal
