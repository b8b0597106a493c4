// What a client reads: the JSON of complete answers and of stream events, in OpenAI's form with
// vLLM's additions. Text is escaped straight into the output; no tree is built.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/api_error.h"
#include "server/api_request.h"
#include "server/generation.h"
#include "server/json_writer.h"

namespace hadal {

// The whole text of one choice.
struct FinishedChoice {
  std::string reasoning;
  std::string content;
  ChoiceEnd end;
};

class ResponseWriter {
 public:
  struct Options {
    Endpoint endpoint = Endpoint::kChat;
    std::string id;  // the answer's, without prefix
    std::string model;
    std::string system_fingerprint;
    int64_t created_unix_s = 0;
    int choices_per_prompt = 1;          // n
    std::vector<int64_t> prompt_tokens;  // by prompt; for continuous usage
    bool include_reasoning = true;
    bool continuous_usage_stats = false;
  };

  explicit ResponseWriter(Options options);

  // The body of an answer that is not streamed. Choices in order of their index.
  std::string body(std::span<const FinishedChoice> choices) const;

  // Stream events; each is appended to `out` whole, with its "data: " and blank line.
  // A choice's role event comes before its first update.
  void append_update(std::string& out, const ChoiceUpdate& update);
  void append_usage(std::string& out, std::span<const ChoiceEnd> ends) const;
  static void append_error(std::string& out, const ApiError& error);
  static void append_done(std::string& out);
  // A comment, which clients skip: keeps proxies from closing a quiet stream.
  static void append_heartbeat(std::string& out);

 private:
  bool is_chat() const { return options_.endpoint == Endpoint::kChat; }
  void append_head(std::string& out, const char* object) const;
  void append_event(std::string& out, int choice, std::string_view delta,
                    const ChoiceUpdate& update, bool is_last) const;
  void append_delta(std::string& out, const ChoiceUpdate& update) const;
  void append_running_usage(std::string& out, const ChoiceUpdate& update) const;
  void append_choice(JsonWriter& json, int index, const FinishedChoice& choice) const;
  void append_message(JsonWriter& json, const FinishedChoice& choice) const;
  void append_usage_object(JsonWriter& json, std::span<const ChoiceEnd> ends) const;

  Options options_;
  std::string event_head_;       // "data: {"id": …, "choices":["
  std::vector<bool> role_sent_;  // by choice
};

}  // namespace hadal
