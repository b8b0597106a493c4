#include "hadal/bench_client/chat.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench_client/http_client.h"
#include "bench_client/sse_parser.h"
#include "hadal/base/log.h"

namespace hadal {
namespace {

using Json = nlohmann::json;

// Set by Ctrl-C. A signal handler can reach nothing else.
volatile sig_atomic_t interrupted = 0;

// While it lives, Ctrl-C sets `interrupted` and does not end the program.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    sigaction(SIGINT, &action, &before_);
  }
  ~InterruptGuard() { sigaction(SIGINT, &before_, nullptr); }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction before_ {};
};

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The text of `object[name]`, or nothing if that is no string.
std::string text_of(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// An answer on its way to the terminal.
class AnswerPrinter {
 public:
  explicit AnswerPrinter(bool is_terminal) : is_terminal_(is_terminal) {}

  void on_event(std::string_view data) {
    if (data == "[DONE]") return;
    const Json event = Json::parse(data, nullptr, false);
    if (event.is_discarded()) return;
    if (event.contains("error")) {
      error_ = text_of(event["error"], "message");
      return;
    }
    if (!event.contains("choices") || !event["choices"].is_array() || event["choices"].empty()) {
      return;
    }
    const Json& choice = event["choices"][0];
    if (!choice.is_object() || !choice.contains("delta")) return;
    std::string reasoning = text_of(choice["delta"], "reasoning_content");
    if (reasoning.empty()) reasoning = text_of(choice["delta"], "reasoning");
    print_reasoning(reasoning);
    print_content(text_of(choice["delta"], "content"));
  }

  // Ends the last line.
  void finish() {
    if (in_reasoning_) end_reasoning();
    std::cout << '\n' << std::flush;
  }

  const std::string& content() const { return content_; }
  const std::string& error() const { return error_; }

 private:
  void print_reasoning(const std::string& text) {
    if (text.empty()) return;
    if (!in_reasoning_ && is_terminal_) std::cout << "\x1b[2m";
    in_reasoning_ = true;
    std::cout << text << std::flush;
  }
  void end_reasoning() {
    if (is_terminal_) std::cout << "\x1b[0m";
    in_reasoning_ = false;
  }
  void print_content(const std::string& text) {
    if (text.empty()) return;
    if (in_reasoning_) {
      end_reasoning();
      std::cout << "\n\n";
    }
    content_ += text;
    std::cout << text << std::flush;
  }

  bool is_terminal_;
  bool in_reasoning_ = false;
  std::string content_;
  std::string error_;
};

// The message of an OpenAI error body, or the body itself.
std::string error_message(const HttpClientResponse& response) {
  const Json body = Json::parse(response.error_body, nullptr, false);
  std::string message;
  if (body.is_object() && body.contains("error")) message = text_of(body["error"], "message");
  if (message.empty()) message = printable(response.error_body);
  return fmt::format("status {}: {}", response.status, message);
}

class Conversation {
 public:
  Conversation(HttpUrl url, const ChatOptions& options)
      : url_(std::move(url)), options_(options), is_terminal_(isatty(STDOUT_FILENO) != 0) {
    if (!options_.system.empty()) add("system", options_.system);
  }

  // Streams the answer to `question`. False: there was none; the question is forgotten then.
  bool ask(const std::string& question) {
    add("user", question);
    AnswerPrinter printer(is_terminal_);
    SseParser events([&](std::string_view data) { printer.on_event(data); });
    const InterruptGuard guard;
    const auto response =
        send_http(url_, {.method = "POST", .path = "/v1/chat/completions", .body = dump(request())},
                  {.on_body = [&](std::string_view bytes) { events.feed(bytes); },
                   .is_cancelled = [] { return interrupted != 0; }});
    printer.finish();
    std::string failure = printer.error();
    if (!response) {
      failure = response.error().message;
    } else if (!response->cancelled && response->status != 200) {
      failure = error_message(*response);
    }
    if (failure.empty()) {
      add("assistant", printer.content());
      return true;
    }
    std::cerr << "hadal: error: " << failure << '\n';
    messages_.erase(messages_.size() - 1);
    return false;
  }

 private:
  void add(const char* role, const std::string& content) {
    messages_.push_back({{"role", role}, {"content", content}});
  }

  Json request() const {
    Json body = {{"messages", messages_}, {"stream", true}};
    if (!options_.model.empty()) body["model"] = options_.model;
    if (options_.max_tokens > 0) body["max_tokens"] = options_.max_tokens;
    if (options_.temperature) body["temperature"] = *options_.temperature;
    return body;
  }

  HttpUrl url_;
  const ChatOptions& options_;
  bool is_terminal_;
  Json messages_ = Json::array();
};

// False: the server does not answer; the reason has been printed.
bool check_server(const HttpUrl& url) {
  const auto response = send_http(url, {.method = "GET", .path = "/v1/models"}, {});
  if (response && response->status == 200) return true;
  std::cerr << "hadal: error: " << (response ? error_message(*response) : response.error().message)
            << '\n';
  return false;
}

}  // namespace

int run_chat(const ChatOptions& options) {
  auto url = parse_http_url(options.url);
  if (!url) {
    std::cerr << "hadal: error: " << url.error().message << '\n';
    return 2;
  }
  if (!check_server(*url)) return 2;
  const bool is_interactive = isatty(STDIN_FILENO) != 0;
  Conversation conversation(std::move(url).value(), options);
  if (is_interactive) std::cout << "/quit leaves, Ctrl-C stops an answer.\n";
  bool answered = true;
  std::string line;
  while (true) {
    if (is_interactive) std::cout << "\n> " << std::flush;
    if (!std::getline(std::cin, line) || line == "/quit") break;
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    answered = conversation.ask(line);
  }
  return answered ? 0 : 1;
}

}  // namespace hadal
