// A server on a free loopback port over a FakeEngine and the bundled model's tokenizer. The HTTP
// library is hidden in the .cpp: compiling it for every test would cost minutes.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "hadal/base/clock.h"
#include "hadal/server/server.h"
#include "server/fake_engine.h"
#include "server/tiny_tokenizer.h"

namespace hadal {

using Json = nlohmann::json;
using HttpHeaders = std::map<std::string, std::string>;

struct HttpAnswer {
  int status = 0;       // 0: none came
  HttpHeaders headers;  // names in lower case
  std::string body;

  Json json() const { return Json::parse(body); }
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

// The data of an event stream's events.
std::vector<std::string> events_of(const std::string& body);

inline const std::string kChatBody =
    R"({"model":"tiny","messages":[{"role":"user","content":"What is 1+1?"}]})";
inline const std::string kStreamBody =
    R"({"messages":[{"role":"user","content":"hi"}],"stream":true,)"
    R"("stream_options":{"include_usage":true}})";

class ServerFixture : public ::testing::Test {
 protected:
  void start(Limits limits = {}, bool open_it = true);
  void open();
  void TearDown() override;

  HttpAnswer request(const std::string& method, const std::string& path,
                     const HttpHeaders& headers = {}) const;
  HttpAnswer get(const std::string& path, const HttpHeaders& headers = {}) const {
    return request("GET", path, headers);
  }
  HttpAnswer post(const std::string& path, const std::string& body,
                  const std::string& type = "application/json") const;
  // The statuses of `count` GETs on one connection.
  std::vector<int> get_on_one_connection(const std::string& path, int count) const;

  // Posts on another thread while this one plays the engine.
  template <typename Play>
  HttpAnswer exchange(const std::string& path, const std::string& body, Play play) {
    HttpAnswer result;
    std::thread poster([&] { result = post(path, body); });
    play();
    poster.join();
    return result;
  }

  // Emits the tokens of `text` and EOS.
  void answer(RequestId id, const std::string& text);

  SteadyClock clock_;
  ChatFormat chat_format_ = ChatFormat::create(tiny_tokenizer()).value();
  std::unique_ptr<Server> server_;
  std::unique_ptr<FakeEngine> engine_;
};

}  // namespace hadal
