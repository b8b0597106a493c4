#include "server/completion_handler.h"

#include <httplib.h>

#include <chrono>
#include <memory>
#include <utility>

#include "hadal/base/log.h"
#include "server/answer.h"
#include "server/json.h"

namespace hadal {
namespace {

int64_t unix_time_s() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

ResponseWriter::Options writer_options(const ServerState& state, const ApiRequest& request,
                                       const ActiveRequest& active) {
  return {.endpoint = request.endpoint,
          .id = random_id(),
          .model = request.model,
          .system_fingerprint = fmt::format("hadal-{}", state.options.version),
          .created_unix_s = unix_time_s(),
          .choices_per_prompt = request.n,
          .prompt_tokens = active.prompt_tokens(),
          .include_reasoning = request.include_reasoning,
          .continuous_usage_stats = request.continuous_usage_stats};
}

Result<ApiRequest> read_request(const ServerState& state, Endpoint endpoint,
                                const std::string& body) {
  HADAL_ASSIGN_OR_RETURN(const Json json, parse_json(body, state.options.limits.json_depth_max));
  return parse_api_request(endpoint, json,
                           {.model_names = state.options.model_names,
                            .defaults = state.model->sampling_defaults,
                            .vocab_size = state.model->vocab_size,
                            .choices_max = state.options.limits.choices_max});
}

// Returns when the first text has come; the library then runs the provider on the same thread.
void start_stream(const std::shared_ptr<Answer>& answer, bool include_usage,
                  const httplib::Request& request, httplib::Response& response) {
  if (const auto error = answer->await_first(request)) {
    set_error(response, *error);
    return;
  }
  response.set_header("Cache-Control", "no-cache");
  response.set_header("X-Accel-Buffering", "no");
  response.set_chunked_content_provider("text/event-stream; charset=utf-8",
                                        [answer, include_usage](size_t, httplib::DataSink& sink) {
                                          return answer->stream(sink, include_usage);
                                        });
}

}  // namespace

void set_error(httplib::Response& response, const ApiError& error) {
  response.status = error.status;
  if (error.retry_after_s) {
    response.set_header("retry-after", fmt::format("{}", *error.retry_after_s));
  }
  response.set_content(error_body(error), "application/json");
}

void handle_completion(ServerState& state, Endpoint endpoint, const httplib::Request& request,
                       httplib::Response& response) {
  const TimePoint arrival = state.clock.now();
  if (const auto error = state.unavailable()) return set_error(response, *error);
  // Before any work, so that the workers above --streams-max stay free for other routes.
  auto ticket = state.gate.try_enter();
  if (!ticket) return set_error(response, too_many_streams(state.options.limits.streams_max));

  const auto api_request = read_request(state, endpoint, request.body);
  if (!api_request) return set_error(response, to_api_error(api_request.error()));
  auto active = ActiveRequest::start({.model = *state.model,
                                      .dispatcher = state.dispatcher,
                                      .seeds = state.seeds,
                                      .limits = state.options.limits,
                                      .arrival = arrival},
                                     *api_request);
  if (!active) return set_error(response, to_api_error(active.error()));
  auto options = writer_options(state, *api_request, **active);
  auto answer = std::make_shared<Answer>(state, std::move(ticket), std::move(active).value(),
                                         std::move(options));
  if (api_request->stream) {
    return start_stream(answer, api_request->include_usage, request, response);
  }
  if (const auto error = answer->collect(request)) return set_error(response, *error);
  response.set_content(answer->body(), "application/json");
}

}  // namespace hadal
