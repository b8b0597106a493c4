#include "sim/shrink.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>
#include <vector>

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

bool fails(const Scenario& scenario, const std::vector<int>& indices) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    close(STDERR_FILENO);
    try {
      run_episode(scenario, [&](int index) { return std::ranges::count(indices, index) > 0; });
    } catch (const std::exception&) {
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status != 0;
}

}  // namespace

void announce(uint64_t seed) {
  announced_seed = seed;
  std::signal(SIGABRT, name_seed);
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
      if (fails(scenario, fewer)) {
        indices = fewer;
      } else {
        first += run;
      }
    }
  }
  return fmt::format("it still fails with requests {}", fmt::join(indices, " "));
}

}  // namespace hadal::sim
