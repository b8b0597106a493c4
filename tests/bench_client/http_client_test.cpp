#include "bench_client/http_client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace hadal {
namespace {

using ::testing::HasSubstr;

// Accepts one connection, reads a request's head and body, answers, closes.
class OneShotServer {
 public:
  explicit OneShotServer(std::string answer) : answer_(std::move(answer)) {
    listening_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(listening_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listening_, 1), 0);
    EXPECT_EQ(::getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~OneShotServer() {
    ::shutdown(listening_, SHUT_RDWR);
    thread_.join();
    ::close(listening_);
  }
  OneShotServer(const OneShotServer&) = delete;
  OneShotServer& operator=(const OneShotServer&) = delete;

  HttpUrl url() const { return {.host = "127.0.0.1", .port = port_, .path = "/base"}; }
  const std::string& request() const { return request_; }  // after the answer

 private:
  void serve() {
    const int link = ::accept(listening_, nullptr, nullptr);
    if (link < 0) return;
    char buffer[4096];
    while (request_.find("\r\n\r\n{}") == std::string::npos) {
      const ssize_t got = ::recv(link, buffer, sizeof(buffer), 0);
      if (got <= 0) break;
      request_.append(buffer, static_cast<size_t>(got));
    }
    ::send(link, answer_.data(), answer_.size(), MSG_NOSIGNAL);
    ::shutdown(link, SHUT_WR);
    while (::recv(link, buffer, sizeof(buffer), 0) > 0) {
    }
    ::close(link);
  }

  std::string answer_;
  std::string request_;
  std::string port_;
  int listening_ = -1;
  std::thread thread_;
};

const HttpClientRequest kPost = {.method = "POST", .path = "/x", .body = "{}"};

TEST(HttpUrl, Forms) {
  EXPECT_EQ(parse_http_url("http://h")->port, "80");
  EXPECT_EQ(parse_http_url("http://h:81/")->port, "81");
  EXPECT_EQ(parse_http_url("http://h:81/v/")->path, "/v");
  EXPECT_EQ(parse_http_url("http://[::1]:5")->host, "::1");
  EXPECT_EQ(parse_http_url("http://[::1]")->port, "80");
  for (const char* bad :
       {"", "h:80", "https://h", "http://", "http://:80", "http://h:", "http://h:x"}) {
    EXPECT_FALSE(parse_http_url(bad).ok()) << bad;
  }
}

TEST(HttpClient, GivesOutTheBodyAsItComes) {
  OneShotServer server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
  std::string body;
  const auto response =
      send_http(server.url(), kPost, {.on_body = [&](std::string_view part) { body += part; }});
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(body, "hi");
  EXPECT_THAT(server.request(), HasSubstr("POST /base/x HTTP/1.1\r\n"));
  EXPECT_THAT(server.request(), HasSubstr("Content-Length: 2\r\n"));
}

TEST(HttpClient, KeepsTheBodyOfAnError) {
  OneShotServer server("HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nnope");
  bool called = false;
  const auto response =
      send_http(server.url(), kPost, {.on_body = [&](std::string_view) { called = true; }});
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->error_body, "nope");
  EXPECT_FALSE(called);
}

TEST(HttpClient, ABrokenAnswerIsAnError) {
  OneShotServer server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
  EXPECT_FALSE(send_http(server.url(), kPost, {}).ok());
}

TEST(HttpClient, CanBeCancelled) {
  OneShotServer server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
  bool got_text = false;
  const auto response = send_http(server.url(), kPost,
                                  {.on_body = [&](std::string_view) { got_text = true; },
                                   .is_cancelled = [&] { return got_text; }});
  ASSERT_TRUE(response.ok());
  EXPECT_TRUE(response->cancelled);
}

TEST(HttpClient, NoServerIsAnErrorThatNamesTheAddress) {
  const auto response = send_http({.host = "127.0.0.1", .port = "1"}, kPost, {});
  ASSERT_FALSE(response.ok());
  EXPECT_THAT(response.error().message, HasSubstr("127.0.0.1:1"));
}

}  // namespace
}  // namespace hadal
