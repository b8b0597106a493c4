#include "hadal/text/output_decoder.h"

namespace hadal {

Result<OutputDecoder> OutputDecoder::create(const Tokenizer& tokenizer, OutputOptions options) {
  HADAL_ASSIGN_OR_RETURN(StopMatcher stop, StopMatcher::create(std::move(options.stop)));
  return OutputDecoder(tokenizer, options, std::move(stop));
}

OutputDecoder::OutputDecoder(const Tokenizer& tokenizer, const OutputOptions& options,
                             StopMatcher stop)
    : tokenizer_(&tokenizer),
      skip_special_tokens_(options.skip_special_tokens),
      detokenizer_(tokenizer, options.skip_special_tokens),
      stop_(std::move(stop)) {
  if (options.reasoning) splitter_.emplace(options.reasoning->markers, options.reasoning->start);
}

void OutputDecoder::append(std::span<const TokenId> tokens, SplitText& out) {
  std::string shown;
  for (const TokenId token : tokens) {
    if (stop_match()) break;
    ++tokens_;
    std::string decoded;
    detokenizer_.append(token, decoded);
    decoded_bytes_ += decoded.size();
    if (splitter_) {
      const bool skipped = skip_special_tokens_ && tokenizer_->is_special(token);
      splitter_->observe(token, skipped ? 0 : tokenizer_->token_bytes(token).size(),
                         decoded_bytes_);
    }
    stop_.append(decoded, tokens_, shown);
  }
  show(shown, out);
}

void OutputDecoder::finish(SplitText& out) {
  std::string decoded;
  std::string shown;
  detokenizer_.finish(decoded);
  stop_.append(decoded, tokens_, shown);
  stop_.finish(shown);
  show(shown, out);
  if (splitter_) splitter_->finish(out);
}

void OutputDecoder::show(std::string_view text, SplitText& out) {
  if (splitter_) {
    splitter_->append(text, out);
  } else {
    out.content += text;
  }
}

}  // namespace hadal
