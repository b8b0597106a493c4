#include "server/api_error.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace hadal {
namespace {

struct Case {
  ErrorCode code;
  int status;
  const char* type;
  const char* api_code;
};

TEST(ApiError, EveryErrorCodeHasItsStatus) {
  const Case cases[] = {
      {ErrorCode::kInvalidArgument, 400, "invalid_request_error", "invalid_value"},
      {ErrorCode::kUnsupported, 400, "invalid_request_error", "unsupported_parameter"},
      {ErrorCode::kTooLarge, 400, "invalid_request_error", "context_length_exceeded"},
      {ErrorCode::kNotFound, 404, "invalid_request_error", "not_found"},
      {ErrorCode::kResourceExhausted, 429, "rate_limit_error", "rate_limit_exceeded"},
      {ErrorCode::kUnavailable, 503, "server_error", "engine_unavailable"},
      {ErrorCode::kBadFile, 500, "server_error", "internal_error"},
      {ErrorCode::kIo, 500, "server_error", "internal_error"},
      {ErrorCode::kDevice, 500, "server_error", "internal_error"},
      {ErrorCode::kInternal, 500, "server_error", "internal_error"},
  };
  for (const Case& c : cases) {
    const ApiError error = to_api_error({c.code, "the message", "the.param"});
    EXPECT_EQ(error.status, c.status);
    EXPECT_EQ(error.type, c.type);
    EXPECT_EQ(error.code, c.api_code);
    EXPECT_EQ(error.retry_after_s.has_value(), c.status == 429 || c.status == 503);
  }
}

TEST(ApiError, AnInternalMessageStaysInside) {
  const ApiError error = to_api_error({ErrorCode::kDevice, "/dev/nvidia0 at 0x7f12"});
  EXPECT_EQ(error.message.find("0x7f"), std::string::npos);
  EXPECT_EQ(error.message.find('/'), std::string::npos);
}

TEST(ApiError, BodyIsOpenAis) {
  const auto body = nlohmann::json::parse(error_body({.status = 400,
                                                      .message = "a \"quote\"",
                                                      .type = "t",
                                                      .code = "c",
                                                      .param = "messages[0].content"}));
  EXPECT_EQ(body["error"]["message"], "a \"quote\"");
  EXPECT_EQ(body["error"]["param"], "messages[0].content");
  EXPECT_EQ(body["error"]["type"], "t");
  EXPECT_EQ(body["error"]["code"], "c");
  const auto bare = nlohmann::json::parse(error_body({.message = "m"}));
  EXPECT_TRUE(bare["error"]["param"].is_null());
  EXPECT_TRUE(bare["error"]["code"].is_null());
}

TEST(ApiError, UnknownModelHasItsOwnCode) {
  EXPECT_EQ(to_api_error({ErrorCode::kNotFound, "m", "model"}).code, "model_not_found");
}

TEST(ApiError, HttpErrorsKeepTheirStatus) {
  for (const int status : {400, 404, 405, 413, 414, 415, 416, 417, 431}) {
    EXPECT_EQ(http_error(status).status, status);
    EXPECT_EQ(http_error(status).type, "invalid_request_error");
  }
  EXPECT_EQ(http_error(503).status, 500);
}

}  // namespace
}  // namespace hadal
