#include "bench_client/response_parser.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

struct Parsed {
  Status status;
  std::string body;
  int http_status = 0;
  bool done = false;
};

Parsed parse(std::string_view text, size_t piece) {
  ResponseParser parser;
  Parsed parsed;
  for (size_t begin = 0; begin < text.size() && parsed.status.ok(); begin += piece) {
    parsed.status = parser.feed(text.substr(begin, piece), parsed.body);
  }
  if (parsed.status.ok()) parsed.status = parser.finish();
  parsed.http_status = parser.status();
  parsed.done = parser.done();
  return parsed;
}

TEST(ResponseParser, ChunkedBodiesWhereverTheyAreCut) {
  const std::string text =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "5\r\nhello\r\n1;ext=1\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    const Parsed parsed = parse(text, piece);
    EXPECT_TRUE(parsed.status.ok()) << piece;
    EXPECT_EQ(parsed.body, "hello 0123456789");
    EXPECT_EQ(parsed.http_status, 200);
    EXPECT_TRUE(parsed.done);
  }
}

TEST(ResponseParser, SizedAndOpenEndedBodies) {
  EXPECT_EQ(parse("HTTP/1.1 404 No\r\ncontent-length:  2 \r\n\r\nab", 3).body, "ab");
  EXPECT_TRUE(parse("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", 3).done);
  const Parsed open = parse("HTTP/1.0 200 OK\r\n\r\nrest", 3);
  EXPECT_TRUE(open.status.ok());
  EXPECT_EQ(open.body, "rest");
}

TEST(ResponseParser, EveryTruncationOfAFramedAnswerIsNoticed) {
  const std::string text =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(parse(std::string_view(text).substr(0, size), 7).status.ok()) << size;
  }
}

TEST(ResponseParser, WhatIsNotHttpIsRefused) {
  for (const char* text : {"SSH-2.0-x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhi\r\n"}) {
    EXPECT_FALSE(parse(text, 5).status.ok()) << text;
  }
}

TEST(ResponseParser, TheHeadIsBounded) {
  const std::string line = "HTTP/1.1 200 OK\r\nX: ";
  const std::string end = "\r\n\r\n";
  const size_t pad = ResponseParser::kHeadBytesMax - line.size();
  EXPECT_FALSE(parse(line + std::string(pad + 1, 'x'), 1 << 20).status.ok());
  EXPECT_TRUE(parse(line + std::string(pad - end.size(), 'x') + end, 1 << 20).status.ok());
}

}  // namespace
}  // namespace hadal
