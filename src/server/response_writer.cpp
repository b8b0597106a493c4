#include "server/response_writer.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace hadal {
namespace {

const char* reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "abort";
    case FinishReason::kError:
      return "error";
  }
  return "error";
}

void append_finish(JsonWriter& json, const ChoiceEnd& end) {
  json.field("finish_reason", reason_name(end.reason)).key("stop_reason");
  if (const auto* text = std::get_if<std::string>(&end.stop_reason)) {
    json.value(*text);
  } else if (const auto* token = std::get_if<TokenId>(&end.stop_reason)) {
    json.value(*token);
  } else {
    json.null();
  }
}

}  // namespace

ResponseWriter::ResponseWriter(Options options) : options_(std::move(options)) {
  event_head_ = "data: ";
  append_head(event_head_, is_chat() ? "chat.completion.chunk" : "text_completion");
  event_head_ += ",\"choices\":[";
}

// {"id": …, "object": …, "created": …, "model": …, "system_fingerprint": … without the end.
void ResponseWriter::append_head(std::string& out, const char* object) const {
  JsonWriter json(out);
  json.begin_object();
  json.field("id", fmt::format("{}-{}", is_chat() ? "chatcmpl" : "cmpl", options_.id));
  json.field("object", object).field("created", options_.created_unix_s);
  json.field("model", options_.model).field("system_fingerprint", options_.system_fingerprint);
}

void ResponseWriter::append_message(JsonWriter& json, const FinishedChoice& choice) const {
  json.key("message").begin_object().field("role", "assistant").key("content");
  // An answer cut off while it was still reasoning has no content.
  const bool has_content = !choice.content.empty() || choice.reasoning.empty();
  has_content ? json.value(choice.content) : json.null();
  json.key("refusal").null();
  const bool has_reasoning = options_.include_reasoning && !choice.reasoning.empty();
  for (const char* name : {"reasoning_content", "reasoning"}) {
    json.key(name);
    has_reasoning ? json.value(choice.reasoning) : json.null();
  }
  json.end_object();
}

void ResponseWriter::append_choice(JsonWriter& json, int index,
                                   const FinishedChoice& choice) const {
  json.begin_object().field("index", index);
  is_chat() ? append_message(json, choice) : void(json.field("text", choice.content));
  json.key("logprobs").null();
  append_finish(json, choice.end);
  json.end_object();
}

void ResponseWriter::append_usage_object(JsonWriter& json, std::span<const ChoiceEnd> ends) const {
  int64_t prompt = 0;
  int64_t cached = 0;
  int64_t completion = 0;
  int64_t reasoning = 0;
  for (size_t i = 0; i < ends.size(); ++i) {
    completion += ends[i].usage.completion_tokens;
    reasoning += ends[i].reasoning_tokens;
    // The choices of one prompt share it.
    if (i % static_cast<size_t>(options_.choices_per_prompt) != 0) continue;
    prompt += ends[i].usage.prompt_tokens;
    cached += ends[i].usage.cached_tokens;
  }
  json.key("usage").begin_object();
  json.field("prompt_tokens", prompt).field("completion_tokens", completion);
  json.field("total_tokens", prompt + completion);
  json.key("prompt_tokens_details").begin_object().field("cached_tokens", cached).end_object();
  if (is_chat()) {
    json.key("completion_tokens_details").begin_object();
    json.field("reasoning_tokens", reasoning).end_object();
  }
  json.end_object();
}

std::string ResponseWriter::body(std::span<const FinishedChoice> choices) const {
  std::string out;
  append_head(out, is_chat() ? "chat.completion" : "text_completion");
  out += ',';
  JsonWriter json(out);
  json.key("choices").begin_array();
  std::vector<ChoiceEnd> ends;
  for (size_t i = 0; i < choices.size(); ++i) {
    append_choice(json, static_cast<int>(i), choices[i]);
    ends.push_back(choices[i].end);
  }
  json.end_array();
  append_usage_object(json, ends);
  json.end_object();
  return out;
}

void ResponseWriter::append_update(std::string& out, const ChoiceUpdate& update) {
  const auto choice = static_cast<size_t>(update.choice);
  if (role_sent_.size() <= choice) role_sent_.resize(choice + 1);
  if (is_chat() && !role_sent_[choice]) {
    append_event(out, update.choice, R"("delta":{"role":"assistant","content":""})", update, false);
    role_sent_[choice] = true;
  }
  const bool has_reasoning = options_.include_reasoning && !update.reasoning.empty();
  if (has_reasoning || !update.content.empty()) {
    std::string delta;
    append_delta(delta, update);
    append_event(out, update.choice, delta, update, false);
  }
  if (update.end) {
    append_event(out, update.choice, is_chat() ? R"("delta":{})" : R"("text":"")", update, true);
  }
}

void ResponseWriter::append_delta(std::string& out, const ChoiceUpdate& update) const {
  if (!is_chat()) {
    out += R"("text":")";
    append_json_escaped(out, update.content);
    out += '"';
    return;
  }
  out += R"("delta":)";
  JsonWriter json(out);
  json.begin_object();
  if (options_.include_reasoning && !update.reasoning.empty()) {
    json.field("reasoning_content", update.reasoning).field("reasoning", update.reasoning);
  }
  if (!update.content.empty()) json.field("content", update.content);
  json.end_object();
}

void ResponseWriter::append_event(std::string& out, int choice, std::string_view delta,
                                  const ChoiceUpdate& update, bool is_last) const {
  fmt::format_to(std::back_inserter(out), "{}{{\"index\":{},{},\"logprobs\":null,", event_head_,
                 choice, delta);
  if (is_last) {
    JsonWriter json(out);
    append_finish(json, *update.end);
  } else {
    out += "\"finish_reason\":null";
  }
  out += "}]";
  if (options_.continuous_usage_stats) append_running_usage(out, update);
  out += "}\n\n";
}

void ResponseWriter::append_running_usage(std::string& out, const ChoiceUpdate& update) const {
  const int prompt = update.choice / options_.choices_per_prompt;
  const int64_t prompt_tokens = options_.prompt_tokens.at(static_cast<size_t>(prompt));
  out += ',';
  JsonWriter json(out);
  json.key("usage").begin_object().field("prompt_tokens", prompt_tokens);
  json.field("completion_tokens", update.completion_tokens);
  json.field("total_tokens", prompt_tokens + update.completion_tokens).end_object();
}

void ResponseWriter::append_usage(std::string& out, std::span<const ChoiceEnd> ends) const {
  out += event_head_;
  out += "],";
  JsonWriter json(out);
  append_usage_object(json, ends);
  out += "}\n\n";
}

void ResponseWriter::append_error(std::string& out, const ApiError& error) {
  fmt::format_to(std::back_inserter(out), "data: {}\n\n", error_body(error));
}

void ResponseWriter::append_done(std::string& out) {
  out += "data: [DONE]\n\n";
}

void ResponseWriter::append_heartbeat(std::string& out) {
  out += ": ping\n\n";
}

}  // namespace hadal
