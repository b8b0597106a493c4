#include "server/routes.h"

#include <httplib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <optional>
#include <string_view>

#include "hadal/base/log.h"
#include "server/completion_handler.h"
#include "server/json_writer.h"

namespace hadal {
namespace {

constexpr const char* kJsonType = "application/json";
constexpr std::string_view kModelPath = "/v1/models/";  // a model's name follows

using RouteHandler = void (*)(ServerState&, const httplib::Request&, httplib::Response&);

void get_health(ServerState& state, const httplib::Request&, httplib::Response& response) {
  if (state.phase == Phase::kFailed) return set_error(response, engine_failed());
  response.set_content(R"({"status":"ok"})", kJsonType);
}

void get_ready(ServerState& state, const httplib::Request&, httplib::Response& response) {
  const Phase phase = state.phase;
  const auto [step, fraction] = state.get_progress();
  std::string body;
  JsonWriter json(body);
  json.begin_object();
  switch (phase) {
    case Phase::kReady:
      json.field("status", "ready");
      break;
    case Phase::kLoading:
      json.field("status", "loading").field("step", step).field("progress", fraction);
      break;
    case Phase::kDraining:
      json.field("status", "draining").field("requests", state.gate.inside());
      break;
    case Phase::kFailed:
      json.field("status", "failed");
      break;
  }
  json.end_object();
  if (phase != Phase::kReady) {
    response.status = 503;
    response.set_header("retry-after", "1");
  }
  response.set_content(std::move(body), kJsonType);
}

void get_version(ServerState& state, const httplib::Request&, httplib::Response& response) {
  std::string body;
  JsonWriter(body).begin_object().field("version", state.options.version).end_object();
  response.set_content(std::move(body), kJsonType);
}

void write_model(JsonWriter& json, const ServerState& state, const std::string& name) {
  json.begin_object().field("id", name).field("object", "model").field("created", 0);
  json.field("owned_by", "hadal").field("root", state.options.model_names.front());
  json.key("parent").null();
  json.field("max_model_len", state.model->max_model_len);
  json.key("permission").begin_array().end_array().end_object();
}

void get_models(ServerState& state, const httplib::Request&, httplib::Response& response) {
  if (const auto error = state.unavailable()) return set_error(response, *error);
  std::string body;
  JsonWriter json(body);
  json.begin_object().field("object", "list").key("data").begin_array();
  for (const std::string& name : state.options.model_names) write_model(json, state, name);
  json.end_array().end_object();
  response.set_content(std::move(body), kJsonType);
}

void get_model(ServerState& state, const httplib::Request& request, httplib::Response& response) {
  if (const auto error = state.unavailable()) return set_error(response, *error);
  const std::string name = request.path.substr(kModelPath.size());
  if (std::ranges::find(state.options.model_names, name) == state.options.model_names.end()) {
    return set_error(
        response, to_api_error(Error{ErrorCode::kNotFound,
                                     fmt::format("The model `{}` does not exist.", printable(name)),
                                     "model"}));
  }
  std::string body;
  JsonWriter json(body);
  write_model(json, state, name);
  response.set_content(std::move(body), kJsonType);
}

void get_metrics(ServerState& state, const httplib::Request&, httplib::Response& response) {
  // A page without an engine has its counters at zero.
  const bool has_engine = state.phase != Phase::kLoading;
  const EngineStats stats = has_engine ? state.model->engine.stats() : EngineStats{};
  response.set_content(metrics_page(state.metrics, stats, state.options.model_names.front()),
                       "text/plain; version=0.0.4; charset=utf-8");
}

void post_chat(ServerState& state, const httplib::Request& request, httplib::Response& response) {
  handle_completion(state, Endpoint::kChat, request, response);
}

void post_completions(ServerState& state, const httplib::Request& request,
                      httplib::Response& response) {
  handle_completion(state, Endpoint::kCompletions, request, response);
}

struct Route {
  std::string_view method;
  std::string_view path;
  RouteHandler handler;
};

constexpr std::array kRoutes = {
    Route{"GET", "/health", get_health},
    Route{"GET", "/ready", get_ready},
    Route{"GET", "/version", get_version},
    Route{"GET", "/metrics", get_metrics},
    Route{"GET", "/v1/models", get_models},
    Route{"GET", kModelPath, get_model},
    Route{"POST", "/v1/chat/completions", post_chat},
    Route{"POST", "/v1/completions", post_completions},
};

const Route* find_route(std::string_view path) {
  if (path.starts_with(kModelPath)) path = kModelPath;
  const auto found = std::ranges::find(kRoutes, path, &Route::path);
  return found == kRoutes.end() ? nullptr : &*found;
}

// A client's id is used where it cannot disturb a header or a log line.
bool is_clean_id(std::string_view id) {
  constexpr size_t kBytesMax = 128;
  return !id.empty() && id.size() <= kBytesMax && std::ranges::all_of(id, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
  });
}

bool is_json(const httplib::Request& request) {
  std::string type = request.get_header_value("Content-Type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  std::ranges::transform(type, type.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return type == kJsonType;
}

// Why a request is refused before its body is read.
std::optional<ApiError> refusal(const ServerState& state, const httplib::Request& request,
                                const Route* route) {
  if (route == nullptr) return http_error(404);
  const bool is_head = request.method == "HEAD" && route->method == "GET";
  if (request.method != route->method && !is_head) return http_error(405);
  if (request.method == "POST" && !is_json(request)) return http_error(415);
  // At once: who announces too much need not send it.
  if (request.get_header_value_u64("Content-Length") > state.options.limits.body_bytes_max) {
    return http_error(413);
  }
  return std::nullopt;
}

// Answers what needs no body: refusals, and the routes of GET. True: answered.
bool answer_early(ServerState& state, const httplib::Request& request,
                  httplib::Response& response) {
  const Route* route = find_route(request.path);
  if (const auto error = refusal(state, request, route)) {
    if (error->status == 405) response.set_header("Allow", std::string(route->method));
    set_error(response, *error);
    return true;
  }
  if (route->method != "GET") return false;
  route->handler(state, request, response);
  return true;
}

// The last word on every answer, errors that the library makes itself included.
void complete_answer(ServerState& state, const httplib::Request& request,
                     httplib::Response& response) {
  if (response.status >= 400) {
    state.metrics.requests_refused.fetch_add(1, std::memory_order_relaxed);
    if (response.body.empty()) set_error(response, http_error(response.status));
  }
  const std::string id = request.get_header_value("x-request-id");
  response.set_header("x-request-id", is_clean_id(id) ? id : random_id());
}

void report_exception(httplib::Response& response, const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    log().error("a request's handler threw: {}", printable(error.what()));
  } catch (...) {
    log().error("a request's handler threw");
  }
  set_error(response, to_api_error(Error{ErrorCode::kInternal, {}}));
}

}  // namespace

void install_routes(httplib::Server& http, ServerState& state) {
  for (const Route& route : kRoutes) {
    if (route.method != "POST") continue;
    http.Post(std::string(route.path),
              [&state, run = route.handler](const auto& request, auto& response) {
                run(state, request, response);
              });
  }
  using Response = httplib::Server::HandlerResponse;
  http.set_pre_routing_handler([&state](const auto& request, auto& response) {
    return answer_early(state, request, response) ? Response::Handled : Response::Unhandled;
  });
  http.set_error_handler([&state](const httplib::Request& request, httplib::Response& response) {
    complete_answer(state, request, response);
    return Response::Handled;
  });
  http.set_post_routing_handler(
      [&state](const httplib::Request& request, httplib::Response& response) {
        if (response.status < 400) complete_answer(state, request, response);
      });
  http.set_exception_handler([](const auto&, auto& response, const std::exception_ptr& exception) {
    report_exception(response, exception);
  });
}

}  // namespace hadal
