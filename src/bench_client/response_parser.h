// An HTTP/1.1 response as bytes arrive: status, then the body without its framing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hadal/base/status.h"

namespace hadal {

class ResponseParser {
 public:
  static constexpr size_t kHeadBytesMax = 64 << 10;

  // Appends to `body` what `bytes` brought of it. kBadFile: not HTTP; the parser is then done for.
  Status feed(std::string_view bytes, std::string& body);

  // The connection has ended. kBadFile: too early.
  Status finish() const;

  // 0 until the head has arrived.
  int status() const { return status_; }
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State {
    kHead,
    kSized,
    kUntilClose,
    kChunkSize,
    kChunkData,
    kChunkEnd,
    kTrailer,
    kDone
  };

  // Each takes what it can from the front of buffer_; false: needs more.
  Result<bool> step(std::string& body);
  Status read_head(std::string_view head);
  Result<bool> take_data(std::string& body, State next);
  Result<bool> take_chunk_size();
  std::optional<std::string> take_line();

  State state_ = State::kHead;
  std::string buffer_;
  int status_ = 0;
  uint64_t left_ = 0;  // bytes of the body, or of the chunk
};

}  // namespace hadal
