// Server-sent events as bytes arrive. Only `data` matters here: other fields and comments are
// skipped.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace hadal {

class SseParser {
 public:
  // Called with the data of each event, its lines joined with line feeds.
  explicit SseParser(std::function<void(std::string_view)> on_event)
      : on_event_(std::move(on_event)) {}

  void feed(std::string_view bytes);

 private:
  void end_line();

  std::function<void(std::string_view)> on_event_;
  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool after_carriage_return_ = false;  // a line feed that follows belongs to it
};

}  // namespace hadal
