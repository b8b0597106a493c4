#include "server/choice_decoder.h"

#include <span>
#include <utility>

namespace hadal {

Result<ChoiceDecoder> ChoiceDecoder::create(const Tokenizer& tokenizer, OutputOptions options,
                                            int choice) {
  const StopMatcher::Options stop = options.stop;
  HADAL_ASSIGN_OR_RETURN(auto decoder, OutputDecoder::create(tokenizer, std::move(options)));
  return ChoiceDecoder(std::move(decoder), stop, choice, tokenizer.eos_id());
}

ChoiceDecoder::ChoiceDecoder(OutputDecoder decoder, const StopMatcher::Options& stop, int choice,
                             TokenId eos_id)
    : decoder_(std::move(decoder)),
      stop_strings_(stop.stop_strings),
      include_stop_(stop.include_stop_string),
      choice_(choice),
      eos_id_(eos_id) {}

std::optional<int64_t> ChoiceDecoder::matched_at() const {
  if (!decoder_.stop_match()) return std::nullopt;
  return static_cast<int64_t>(decoder_.stop_match()->tokens);
}

ChoiceUpdate ChoiceDecoder::consume(const OutputEvent& event) {
  std::span<const TokenId> tokens(event.tokens.data(), static_cast<size_t>(event.count));
  tokens_ += event.count;
  // The token that ends the text is not part of it.
  const bool ends_in_stop_token = event.end && event.reason == FinishReason::kStop &&
                                  event.stop_token != kNoToken && !tokens.empty();
  if (ends_in_stop_token && !include_stop_) tokens = tokens.first(tokens.size() - 1);
  SplitText text;
  decoder_.append(tokens, text);
  if (event.end) decoder_.finish(text);
  ChoiceUpdate update{.choice = choice_,
                      .reasoning = std::move(text.reasoning),
                      .content = std::move(text.content),
                      .completion_tokens = matched_at().value_or(tokens_)};
  if (event.end) update.end = make_end(event);
  return update;
}

ChoiceEnd ChoiceDecoder::make_end(const OutputEvent& event) const {
  ChoiceEnd end{.reason = event.reason,
                .usage = event.usage,
                .reasoning_tokens = static_cast<int64_t>(decoder_.reasoning_tokens()),
                .error = event.error};
  if (const auto& match = decoder_.stop_match()) {
    // The match decides, also when the engine ended at or behind the same token.
    end.reason = FinishReason::kStop;
    end.stop_reason = stop_strings_[match->index];
    end.usage.completion_tokens = static_cast<int64_t>(match->tokens);
  } else if (event.stop_token != kNoToken && event.stop_token != eos_id_) {
    end.stop_reason = event.stop_token;
  }
  return end;
}

}  // namespace hadal
