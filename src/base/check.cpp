#include "hadal/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace hadal {

// Straight to stderr, not through the logger: the logger's own state may be what is broken.
void check_failed(std::string_view file, int line, std::string_view condition,
                  std::string_view message) {
  const std::string text = fmt::format("CHECK failed at {}:{}: {}{}{}\n", file, line, condition,
                                       message.empty() ? "" : ": ", message);
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
  std::abort();
}

}  // namespace hadal
