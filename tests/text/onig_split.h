// A regex split by Oniguruma. In a file of its own: <oniguruma.h> and the <regex.h> that GoogleTest
// includes define the same struct.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hadal::test {

class OnigSplit {
 public:
  explicit OnigSplit(const std::string& pattern);
  ~OnigSplit();
  OnigSplit(const OnigSplit&) = delete;
  OnigSplit& operator=(const OnigSplit&) = delete;

  // Appends the matches and what lies between them, in order ("Isolated").
  void apply(std::string_view text, std::vector<std::string_view>& out) const;

 private:
  void* regex_;
  void* region_;
};

}  // namespace hadal::test
