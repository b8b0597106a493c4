#include "bench_client/sse_parser.h"

namespace hadal {

void SseParser::feed(std::string_view bytes) {
  for (const char c : bytes) {
    const bool is_second_half = c == '\n' && after_carriage_return_;
    after_carriage_return_ = c == '\r';
    if (is_second_half) continue;
    if (c == '\n' || c == '\r') {
      end_line();
    } else {
      line_ += c;
    }
  }
}

void SseParser::end_line() {
  constexpr std::string_view kField = "data:";
  if (line_.empty()) {
    if (has_data_) on_event_(data_);
    data_.clear();
    has_data_ = false;
    return;
  }
  if (line_.starts_with(kField)) {
    std::string_view value = std::string_view(line_).substr(kField.size());
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  }
  line_.clear();
}

}  // namespace hadal
