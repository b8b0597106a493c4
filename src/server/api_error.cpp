#include "server/api_error.h"

#include "server/json_writer.h"

namespace hadal {
namespace {

constexpr const char* kInvalidRequest = "invalid_request_error";

ApiError bad_request(const Error& error, const char* code) {
  return {.status = 400,
          .message = error.message,
          .type = kInvalidRequest,
          .code = code,
          .param = error.param};
}

ApiError unavailable(std::string message, const char* code, int retry_after_s) {
  return {.status = 503,
          .message = std::move(message),
          .type = "server_error",
          .code = code,
          .retry_after_s = retry_after_s};
}

}  // namespace

ApiError to_api_error(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
      return bad_request(error, "invalid_value");
    case ErrorCode::kUnsupported:
      return bad_request(error, "unsupported_parameter");
    case ErrorCode::kTooLarge:
      return bad_request(error, "context_length_exceeded");
    case ErrorCode::kNotFound:
      return {.status = 404,
              .message = error.message,
              .type = kInvalidRequest,
              .code = error.param == "model" ? "model_not_found" : "not_found",
              .param = error.param};
    case ErrorCode::kResourceExhausted:
      return {.status = 429,
              .message = error.message,
              .type = "rate_limit_error",
              .code = "rate_limit_exceeded",
              .retry_after_s = 1};
    case ErrorCode::kUnavailable:
      return unavailable(error.message, "engine_unavailable", 5);
    // What a file, a device or a bug said is for the log, not for a stranger.
    case ErrorCode::kBadFile:
    case ErrorCode::kIo:
    case ErrorCode::kDevice:
    case ErrorCode::kInternal:
      break;
  }
  return {.status = 500,
          .message = "the request failed inside the server; its log has the reason",
          .type = "server_error",
          .code = "internal_error"};
}

ApiError http_error(int status) {
  const auto error = [status](const char* message, const char* code) {
    return ApiError{.status = status, .message = message, .type = kInvalidRequest, .code = code};
  };
  switch (status) {
    case 400:
      return error("the request is not valid HTTP", "bad_request");
    case 404:
      return error("there is no such route", "not_found");
    case 405:
      return error("the route does not take this method", "method_not_allowed");
    case 413:
      return error("the body is larger than --body-bytes-max", "request_too_large");
    case 414:
      return error("the request line is too long", "request_too_large");
    case 415:
      return error("Content-Type must be application/json", "unsupported_media_type");
    case 416:
      return error("the Range header is not valid here", "bad_request");
    default:
      break;
  }
  if (status < 500) return error("the request was refused", "bad_request");
  return to_api_error(Error{ErrorCode::kInternal, {}});
}

ApiError engine_loading() {
  return unavailable("the model is being loaded; see /ready", "engine_loading", 1);
}

ApiError engine_draining() {
  return unavailable("the server is shutting down", "engine_draining", 5);
}

ApiError engine_failed() {
  return unavailable("the engine has failed; the server is ending", "engine_unavailable", 5);
}

ApiError too_many_streams(int streams_max) {
  return to_api_error(
      Error{ErrorCode::kResourceExhausted,
            fmt::format("{} requests are being answered already (--streams-max)", streams_max)});
}

std::string error_body(const ApiError& error) {
  std::string out;
  JsonWriter json(out);
  const auto optional_field = [&](const char* name, const std::string& text) {
    json.key(name);
    text.empty() ? json.null() : json.value(text);
  };
  json.begin_object().key("error").begin_object();
  json.field("message", error.message).field("type", error.type);
  optional_field("param", error.param);
  optional_field("code", error.code);
  json.end_object().end_object();
  return out;
}

}  // namespace hadal
