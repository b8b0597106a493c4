// A server on a free loopback port over a FakeEngine and the bundled model's tokenizer.
#pragma once

#include <gtest/gtest.h>
#include <httplib.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "hadal/base/clock.h"
#include "hadal/server/server.h"
#include "server/fake_engine.h"

namespace hadal {

using Json = nlohmann::json;

inline const Tokenizer& tiny_tokenizer() {
  static const Tokenizer tokenizer = [] {
    auto loaded = Tokenizer::load(std::string(HADAL_SOURCE_DIR) + "/tests/models/tiny-r1");
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return std::move(loaded).value();
  }();
  return tokenizer;
}

inline std::vector<TokenId> tokens_of(const std::string& text) {
  auto tokens = tiny_tokenizer().encode(text, {.parse_special = true});
  EXPECT_TRUE(tokens.ok());
  return std::move(tokens).value();
}

class ServerFixture : public ::testing::Test {
 protected:
  void start(Limits limits = {}, bool open_it = true) {
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

  void open() {
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

  void TearDown() override {
    if (server_) server_->stop();
  }

  httplib::Client client() const {
    httplib::Client client("127.0.0.1", server_->port());
    client.set_read_timeout(20);
    return client;
  }

  httplib::Result post(const std::string& path, const std::string& body,
                       const std::string& type = "application/json") const {
    return client().Post(path, body, type);
  }

  // Posts on another thread while this one plays the engine.
  template <typename Play>
  httplib::Result exchange(const std::string& path, const std::string& body, Play play) {
    httplib::Result result;
    std::thread poster([&] { result = post(path, body); });
    play();
    poster.join();
    return result;
  }

  // Emits the tokens of `text` and EOS.
  void answer(RequestId id, const std::string& text) {
    const auto tokens = tokens_of(text);
    engine_->emit(id, tokens);
    engine_->end_with_eos(id, tiny_tokenizer().eos_id(), static_cast<int64_t>(tokens.size()) + 1);
  }

  SteadyClock clock_;
  ChatFormat chat_format_ = ChatFormat::create(tiny_tokenizer()).value();
  std::unique_ptr<Server> server_;
  std::unique_ptr<FakeEngine> engine_;
};

// The data of an event stream's events.
inline std::vector<std::string> events_of(const std::string& body) {
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

inline const std::string kChatBody =
    R"({"model":"tiny","messages":[{"role":"user","content":"What is 1+1?"}]})";
inline const std::string kStreamBody =
    R"({"messages":[{"role":"user","content":"hi"}],"stream":true,)"
    R"("stream_options":{"include_usage":true}})";

}  // namespace hadal
