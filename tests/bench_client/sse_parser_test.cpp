#include "bench_client/sse_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hadal {
namespace {

using ::testing::ElementsAre;

// The events of `stream`, fed in pieces of `piece` bytes.
std::vector<std::string> events_of(std::string_view stream, size_t piece) {
  std::vector<std::string> events;
  SseParser parser([&](std::string_view data) { events.emplace_back(data); });
  for (size_t begin = 0; begin < stream.size(); begin += piece) {
    parser.feed(stream.substr(begin, piece));
  }
  return events;
}

TEST(SseParser, TheCutsDoNotMatter) {
  const std::string stream =
      ": ping\n\ndata: {\"a\":1}\n\nevent: x\ndata:two\ndata: lines\n\r\ndata: [DONE]\r\n\r\n";
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    EXPECT_THAT(events_of(stream, piece), ElementsAre("{\"a\":1}", "two\nlines", "[DONE]"))
        << piece;
  }
}

TEST(SseParser, AnUnfinishedEventIsNotGivenOut) {
  EXPECT_THAT(events_of("data: a\n", 1), ElementsAre());
  EXPECT_THAT(events_of("\n\n\n", 1), ElementsAre());
  EXPECT_THAT(events_of("data:\n\n", 1), ElementsAre(""));
}

}  // namespace
}  // namespace hadal
