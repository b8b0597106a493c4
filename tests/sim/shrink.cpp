#include "sim/shrink.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>
#include <functional>
#include <vector>

#include "hadal/base/check.h"
#include "sim/episode.h"

namespace hadal::sim {
namespace {

std::atomic<uint64_t> announced_seed = 0;

// Only calls that are safe in a signal handler.
void name_seed(int) {
  char text[64] = "the simulated seed was ";
  char digits[24];
  int count = 0;
  for (uint64_t left = announced_seed; count == 0 || left > 0; left /= 10) {
    digits[count++] = static_cast<char>('0' + left % 10);
  }
  char* end = std::find(std::begin(text), std::end(text), '\0');
  while (count > 0) *end++ = digits[--count];
  *end++ = '\n';
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text, static_cast<size_t>(end - text));
  std::signal(SIGABRT, SIG_DFL);
}

using TakesPart = std::function<bool(int)>;

// Runs in the child: says what failed on `output`, or nothing.
[[noreturn]] void run_as_child(const Scenario& scenario, const TakesPart& takes_part, int output) {
  std::signal(SIGABRT, SIG_DFL);
  dup2(output, STDERR_FILENO);  // where a CHECK speaks before it aborts
  try {
    run_episode(scenario, takes_part);
  } catch (const std::exception& failure) {
    const std::string_view what = failure.what();
    [[maybe_unused]] const auto written = write(output, what.data(), what.size());
    _exit(1);
  }
  _exit(0);
}

std::string failure_in_child(const Scenario& scenario, const TakesPart& takes_part) {
  int ends[2];
  HADAL_CHECK(pipe(ends) == 0, "no pipe");
  const pid_t child = fork();
  if (child == 0) run_as_child(scenario, takes_part, ends[1]);
  close(ends[1]);
  std::string text;
  char buffer[512];
  for (ssize_t got = 0; (got = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (status == 0) return {};
  return text.empty() ? "it died without a word" : text;
}

}  // namespace

void announce(uint64_t seed) {
  announced_seed = seed;
  std::signal(SIGABRT, name_seed);
}

std::string failure_in_child(const Scenario& scenario) {
  return failure_in_child(scenario, TakesPart());
}

// Removes ever smaller runs of requests while the failure stays.
std::string shrink(const Scenario& scenario) {
  std::vector<int> indices(scenario.requests);
  for (int i = 0; i < scenario.requests; ++i) indices[i] = i;
  for (size_t run = indices.size() / 2; run >= 1; run /= 2) {
    for (size_t first = 0; first < indices.size();) {
      std::vector<int> fewer = indices;
      const size_t last = std::min(first + run, fewer.size());
      fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(first),
                  fewer.begin() + static_cast<ptrdiff_t>(last));
      const auto takes_part = [&](int index) { return std::ranges::count(fewer, index) > 0; };
      if (!failure_in_child(scenario, takes_part).empty()) {
        indices = fewer;
      } else {
        first += run;
      }
    }
  }
  return fmt::format("it still fails with requests {}", fmt::join(indices, " "));
}

}  // namespace hadal::sim
