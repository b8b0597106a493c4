#include "server/server_fixture.h"

#include <httplib.h>

#include <algorithm>

namespace hadal {
namespace {

constexpr int kPatienceSeconds = 20;

HttpAnswer answer_of(const httplib::Result& result) {
  if (!result) return {};
  HttpAnswer answer{.status = result->status, .body = result->body};
  for (const auto& [name, value] : result->headers) {
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    answer.headers[lower] = value;
  }
  return answer;
}

httplib::Client client_of(const Server& server) {
  httplib::Client client("127.0.0.1", server.port());
  client.set_read_timeout(kPatienceSeconds);
  return client;
}

}  // namespace

std::vector<std::string> events_of(const std::string& body) {
  std::vector<std::string> events;
  size_t begin = 0;
  while (begin < body.size()) {
    const size_t end = body.find("\n\n", begin);
    EXPECT_NE(end, std::string::npos) << "an event without its blank line";
    const std::string event = body.substr(begin, end - begin);
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    events.push_back(event.substr(6));
    begin = end + 2;
  }
  return events;
}

void ServerFixture::start(Limits limits, bool open_it) {
  auto listening = Server::listen({.host = "127.0.0.1",
                                   .model_names = {"tiny", "alias"},
                                   .version = "1.2.3",
                                   .seed = 7,
                                   .limits = limits},
                                  clock_);
  ASSERT_TRUE(listening.ok()) << listening.error().message;
  server_ = std::move(listening).value();
  engine_ = std::make_unique<FakeEngine>(server_->sink());
  if (open_it) open();
}

void ServerFixture::open() {
  auto markers = ReasoningMarkers::find(tiny_tokenizer());
  ASSERT_TRUE(markers.ok());
  server_->open({.engine = *engine_,
                 .tokenizer = tiny_tokenizer(),
                 .chat_format = chat_format_,
                 .reasoning_markers = *markers,
                 .sampling_defaults = {.temperature = 0.6, .top_p = 0.95},
                 .eos_token_id = tiny_tokenizer().eos_id(),
                 .vocab_size = 2048,
                 .max_model_len = 256});
}

void ServerFixture::TearDown() {
  if (server_) server_->stop();
}

HttpAnswer ServerFixture::request(const std::string& method, const std::string& path,
                                  const HttpHeaders& headers) const {
  httplib::Request request;
  request.method = method;
  request.path = path;
  for (const auto& [name, value] : headers) request.set_header(name, value);
  return answer_of(client_of(*server_).send(request));
}

HttpAnswer ServerFixture::post(const std::string& path, const std::string& body,
                               const std::string& type) const {
  return answer_of(client_of(*server_).Post(path, body, type));
}

std::vector<int> ServerFixture::get_on_one_connection(const std::string& path, int count) const {
  httplib::Client client = client_of(*server_);
  client.set_keep_alive(true);
  std::vector<int> statuses;
  for (int i = 0; i < count; ++i) statuses.push_back(answer_of(client.Get(path)).status);
  return statuses;
}

void ServerFixture::answer(RequestId id, const std::string& text) {
  const auto tokens = tokens_of(text);
  engine_->emit(id, tokens);
  engine_->end_with_eos(id, tiny_tokenizer().eos_id(), static_cast<int64_t>(tokens.size()) + 1);
}

}  // namespace hadal
