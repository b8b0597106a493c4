#include "bench_client/response_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "hadal/base/log.h"

namespace hadal {
namespace {

Error not_http(std::string_view what, std::string_view found) {
  return Error{ErrorCode::kBadFile,
               fmt::format("the answer is not HTTP/1.1: {} '{}'", what, printable(found, 80))};
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return result;
}

template <typename T>
std::optional<T> parse_number(std::string_view text, int base) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "Name: value" → lower-case name, trimmed value.
std::pair<std::string, std::string_view> split_header(std::string_view line) {
  const size_t colon = std::min(line.find(':'), line.size());
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  while (value.starts_with(' ')) value.remove_prefix(1);
  while (value.ends_with(' ')) value.remove_suffix(1);
  return {lower(line.substr(0, colon)), value};
}

}  // namespace

Status ResponseParser::feed(std::string_view bytes, std::string& body) {
  buffer_ += bytes;
  while (true) {
    HADAL_ASSIGN_OR_RETURN(const bool advanced, step(body));
    if (!advanced) return {};
  }
}

Status ResponseParser::finish() const {
  if (state_ == State::kDone || state_ == State::kUntilClose) return {};
  return Error{ErrorCode::kIo, "the server closed the connection in the middle of its answer"};
}

std::optional<std::string> ResponseParser::take_line() {
  const size_t end = buffer_.find("\r\n");
  if (end == std::string::npos) return std::nullopt;
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return line;
}

Result<bool> ResponseParser::step(std::string& body) {
  switch (state_) {
    case State::kHead: {
      const size_t end = buffer_.find("\r\n\r\n");
      if (end == std::string::npos) {
        if (buffer_.size() > kHeadBytesMax) return not_http("a head without end", buffer_);
        return false;
      }
      const std::string head = buffer_.substr(0, end + 2);
      buffer_.erase(0, end + 4);
      HADAL_RETURN_IF_ERROR(read_head(head));
      return true;
    }
    case State::kSized:
      return take_data(body, State::kDone);
    case State::kUntilClose: {
      body += buffer_;
      buffer_.clear();
      return false;
    }
    case State::kChunkSize:
      return take_chunk_size();
    case State::kChunkData:
      return take_data(body, State::kChunkEnd);
    case State::kChunkEnd: {
      const auto line = take_line();
      if (!line) return false;
      if (!line->empty()) return not_http("after a chunk stands", *line);
      state_ = State::kChunkSize;
      return true;
    }
    case State::kTrailer: {
      const auto line = take_line();
      if (!line) return false;
      if (line->empty()) state_ = State::kDone;
      return true;
    }
    case State::kDone:
      return false;
  }
  return false;
}

Status ResponseParser::read_head(std::string_view head) {
  const size_t line_end = head.find("\r\n");
  const std::string_view line = head.substr(0, line_end);
  const bool is_http = line.starts_with("HTTP/1.") && line.size() >= 12;
  const auto status = is_http ? parse_number<int>(line.substr(9, 3), 10) : std::nullopt;
  if (!status) return not_http("it begins with", line);
  // 100 Continue and its like precede the answer.
  if (*status < 200) return {};
  status_ = *status;
  state_ = State::kUntilClose;
  for (size_t begin = line_end + 2; begin < head.size();) {
    const size_t end = head.find("\r\n", begin);
    const auto [name, value] = split_header(head.substr(begin, end - begin));
    begin = end + 2;
    if (name == "transfer-encoding" && lower(value) == "chunked") state_ = State::kChunkSize;
    if (name == "content-length" && state_ != State::kChunkSize) {
      const auto length = parse_number<uint64_t>(value, 10);
      if (!length) return not_http("content-length is", value);
      left_ = *length;
      state_ = State::kSized;
    }
  }
  return {};
}

Result<bool> ResponseParser::take_data(std::string& body, State next) {
  const size_t taken = std::min<uint64_t>(left_, buffer_.size());
  body.append(buffer_, 0, taken);
  buffer_.erase(0, taken);
  left_ -= taken;
  if (left_ > 0) return false;
  state_ = next;
  return true;
}

Result<bool> ResponseParser::take_chunk_size() {
  const auto line = take_line();
  if (!line) return false;
  const auto size = parse_number<uint64_t>(line->substr(0, line->find(';')), 16);
  if (!size) return not_http("a chunk's size is", *line);
  left_ = *size;
  state_ = *size == 0 ? State::kTrailer : State::kChunkData;
  return true;
}

}  // namespace hadal
