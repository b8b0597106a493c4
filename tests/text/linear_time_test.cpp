// No input makes the text module's work grow like the square of its size. Eight times as much text
// would then take 64 times as long; linear work takes 8 times, and a little more where memory comes
// from another place (caches, fresh pages). The limit lies halfway, on a logarithmic scale: 8^1.5.
// In CPU time of the thread; the best of several runs counts, as a busy machine can only add time.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "hadal/text/chat_format.h"
#include "hadal/text/output_decoder.h"
#include "text/tokenizer_files.h"

namespace hadal {
namespace {

constexpr size_t kDoublings = 3;
constexpr double kRatioMax = 22.6;
constexpr int kAttempts = 5;

double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// work(n) is asked for n and for n doubled three times.
void expect_linear(const std::string& name, size_t n, const std::function<void(size_t)>& work) {
  double small = 1e9;
  double large = 1e9;
  for (int i = 0; i < kAttempts; ++i) {
    for (const auto& [size, best] : {std::pair{n, &small}, std::pair{n << kDoublings, &large}}) {
      const double start = cpu_seconds();
      work(size);
      *best = std::min(*best, cpu_seconds() - start);
    }
    if (large <= kRatioMax * small) return;
  }
  ADD_FAILURE() << name << ": " << n << " takes " << small << " s, " << (n << kDoublings)
                << " takes " << large << " s";
}

std::string repeated(std::string_view unit, size_t bytes) {
  std::string text;
  text.reserve(bytes + unit.size());
  while (text.size() < bytes) text += unit;
  return text;
}

// Letters and blanks that merge pair by pair into runs of 64: the longest possible work.
const Tokenizer& doubling() {
  static const Tokenizer tokenizer = [] {
    nlohmann::json root = test::bytes_only_json();
    for (const std::string unit : {"a", "Ġ"}) {
      for (std::string run = unit; run.size() < 64 * unit.size(); run += run) {
        test::add_merge(root, run, run);
      }
    }
    test::add_token(root, "<｜end｜>");
    return Tokenizer::parse(test::files_of(root)).value();
  }();
  return tokenizer;
}

constexpr size_t kBytes = size_t{1} << 17;

void expect_linear_encode(const Tokenizer& tokenizer, const char* unit, bool parse_special) {
  const std::string text = repeated(unit, kBytes << kDoublings);
  expect_linear(unit, kBytes, [&](size_t size) {
    std::string_view part = std::string_view(text).substr(0, size);
    part.remove_suffix(part.size() % std::string_view(unit).size());  // whole characters
    ASSERT_TRUE(tokenizer.encode(part, {.parse_special = parse_special}).ok());
  });
}

TEST(LinearTime, Encode) {
  for (const char* unit :
       {"a", "\n ", " \u3000", "日", "👩‍🔬", "\u0301", "1", ".", "\u200b "}) {
    expect_linear_encode(test::tiny_r1(), unit, false);
  }
}

TEST(LinearTime, EncodeOnePieceThatMergesAllTheWay) {
  for (const char* unit : {"a", " "}) expect_linear_encode(doubling(), unit, false);
}

TEST(LinearTime, EncodeWhatAlmostIsAnAddedToken) {
  for (const char* unit : {"<", "<｜", "<｜place▁holder▁no▁", "</think>"}) {
    expect_linear_encode(test::tiny_r1(), unit, true);
  }
}

TEST(LinearTime, ManyMessages) {
  const ChatFormat format = ChatFormat::create(test::tiny_r1()).value();
  for (const ChatRole role :
       {ChatRole::kSystem, ChatRole::kUser, ChatRole::kAssistant, ChatRole::kTool}) {
    expect_linear("messages", 10'000, [&](size_t count) {
      const std::vector<ChatMessage> messages(count, {.role = role, .content = "</think>x"});
      ASSERT_TRUE(format.tokens(format.render(messages, true)).ok());
    });
  }
}

TEST(LinearTime, Output) {
  const std::string almost(StopStringLimits::kBytesMax - 1, 'a');
  const OutputOptions options = {
      .stop = {.stop_strings = {almost + "b", "aab", almost.substr(3) + "\uFFFD"}},
      .reasoning = {{.markers = ReasoningMarkers::find(test::tiny_r1()).value()}}};
  for (const char* unit : {"a", "\n", "aa<", "é"}) {
    expect_linear(unit, kBytes / 8, [&](size_t size) {
      const auto tokens = test::tiny_r1().encode(repeated(unit, size), {}).value();
      OutputDecoder decoder = OutputDecoder::create(test::tiny_r1(), options).value();
      SplitText text;
      decoder.append(tokens, text);
      decoder.finish(text);
    });
  }
}

}  // namespace
}  // namespace hadal
