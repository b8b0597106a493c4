#include "server/api_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hadal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::string> kModels = {"tiny", "alias"};

Result<ApiRequest> parse(Endpoint endpoint, const Json& body) {
  return parse_api_request(endpoint, body,
                           {.model_names = kModels,
                            .defaults = {.temperature = 0.6, .top_p = 0.95},
                            .vocab_size = 100,
                            .choices_max = 8});
}

Json chat_with(const std::string& field, const Json& value) {
  Json body = {{"messages", {{{"role", "user"}, {"content", "hi"}}}}};
  body[field] = value;
  return body;
}

Result<ApiRequest> parse_chat_with(const std::string& field, const Json& value) {
  return parse(Endpoint::kChat, chat_with(field, value));
}

Result<ApiRequest> parse_prompt(const Json& prompt) {
  return parse(Endpoint::kCompletions, {{"prompt", prompt}});
}

TEST(ApiRequest, DefaultsComeFromTheCheckpoint) {
  const auto request = parse_chat_with("user", "ignored");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->model, "tiny");
  EXPECT_FLOAT_EQ(request->sampling.temperature, 0.6F);
  EXPECT_FLOAT_EQ(request->sampling.top_p, 0.95F);
  EXPECT_EQ(request->sampling.top_k, 0);
  EXPECT_FALSE(request->max_tokens.has_value());
  EXPECT_FALSE(request->seed.has_value());
  EXPECT_EQ(request->n, 1);
  EXPECT_FALSE(request->stream);
  EXPECT_EQ(parse_prompt("x")->max_tokens, 16);
}

// Every numeric field against the values that have hurt servers: the accepted ones are listed, all
// others must be refused with the field's name.
struct NumericField {
  const char* name;
  std::vector<Json> accepted;
};

const std::vector<Json> kHostileNumbers = {-1,
                                           0,
                                           1,
                                           2,
                                           7,
                                           8,
                                           9,
                                           64,
                                           65,
                                           2147483647,
                                           2147483648,
                                           4294967297,
                                           1e308,
                                           -1e9,
                                           0.5,
                                           1.5,
                                           2.5,
                                           -0.5,
                                           1.0,
                                           "5",
                                           "NaN",
                                           true,
                                           Json::array(),
                                           Json::object(),
                                           uint64_t{9223372036854775808U},
                                           uint64_t{18446744073709551615U}};

const NumericField kNumericFields[] = {
    {"temperature", {0, 1, 2, 0.5, 1.5, 1.0}},
    {"top_p", {1, 0.5, 1.0}},
    {"top_k", {-1, 0, 1, 2, 7, 8, 9, 64, 65, 2147483647, 1.0}},
    {"n", {1, 2, 7, 8, 1.0}},
    {"max_tokens", {1, 2, 7, 8, 9, 64, 65, 2147483647, 1.0}},
    {"max_completion_tokens", {1, 2, 7, 8, 9, 64, 65, 2147483647, 1.0}},
    {"seed", {-1, 0, 1, 2, 7, 8, 9, 64, 65, 2147483647, 2147483648, 4294967297, -1e9, 1.0}},
    {"priority", {0}},
    {"presence_penalty", {0}},
    {"frequency_penalty", {0}},
    {"repetition_penalty", {1, 1.0}},
    {"min_p", {0}},
    {"min_tokens", {0}},
    {"top_logprobs", {0}},
};

TEST(ApiRequest, EveryNumericFieldAgainstHostileValues) {
  for (const NumericField& field : kNumericFields) {
    EXPECT_TRUE(parse_chat_with(field.name, nullptr).ok()) << field.name << " null";
    for (const Json& value : kHostileNumbers) {
      // By text: nlohmann's comparison takes 2^64 - 1 for -1.
      const bool wanted = std::ranges::any_of(
          field.accepted, [&](const Json& accepted) { return accepted.dump() == value.dump(); });
      const auto request = parse_chat_with(field.name, value);
      EXPECT_EQ(request.ok(), wanted) << field.name << " = " << value;
      if (!request.ok()) {
        EXPECT_EQ(request.error().param, field.name);
        EXPECT_THAT(request.error().message, HasSubstr(field.name));
      }
    }
  }
}

TEST(ApiRequest, TopPBelowTheSmallestFloatIsNotZero) {
  EXPECT_TRUE(parse_chat_with("top_p", 1e-30).ok());
  EXPECT_FALSE(parse_chat_with("top_p", 1e-300).ok());
}

TEST(ApiRequest, NewerLengthWins) {
  Json body = chat_with("max_tokens", 5);
  body["max_completion_tokens"] = 7;
  EXPECT_EQ(parse(Endpoint::kChat, body)->max_tokens, 7);
}

TEST(ApiRequest, ModelsAreKnownByName) {
  EXPECT_EQ(parse_chat_with("model", "alias")->model, "alias");
  const auto unknown = parse_chat_with("model", "gpt-4\n");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(unknown.error().param, "model");
  EXPECT_EQ(unknown.error().message.find('\n'), std::string::npos);
  EXPECT_FALSE(parse_chat_with("model", 3).ok());
}

TEST(ApiRequest, PromptsHaveFourForms) {
  EXPECT_EQ(parse_prompt("x")->prompts.size(), 1U);
  EXPECT_EQ(parse_prompt({"x", "y"})->prompts.size(), 2U);
  EXPECT_THAT(std::get<std::vector<TokenId>>(parse_prompt({0, 99})->prompts[0]),
              ElementsAre(0, 99));
  EXPECT_EQ(parse_prompt(Json::array({{1, 2}, {3}}))->prompts.size(), 2U);
}

TEST(ApiRequest, BadPromptsAreRefused) {
  const Json bad[] = {nullptr,
                      "",
                      Json::array(),
                      {""},
                      {100},
                      {-1},
                      {1.5},
                      {1, "x"},
                      Json::array({Json::array()}),
                      5,
                      true,
                      Json::object(),
                      {4294967297},
                      Json::array({1, Json::array({2})})};
  for (const Json& prompt : bad) EXPECT_FALSE(parse_prompt(prompt).ok()) << prompt;
}

TEST(ApiRequest, ChoicesAreBoundedTogetherWithPrompts) {
  const Json two = {"x", "y"};
  EXPECT_TRUE(parse(Endpoint::kCompletions, {{"prompt", two}, {"n", 4}}).ok());
  EXPECT_FALSE(parse(Endpoint::kCompletions, {{"prompt", two}, {"n", 5}}).ok());
  EXPECT_FALSE(parse_prompt(Json(std::vector<std::string>(9, "x"))).ok());
  EXPECT_TRUE(parse(Endpoint::kCompletions, {{"prompt", "x"}, {"best_of", 1}}).ok());
  EXPECT_FALSE(parse(Endpoint::kCompletions, {{"prompt", "x"}, {"best_of", 2}}).ok());
}

TEST(ApiRequest, StopsAreStringsAndIds) {
  EXPECT_THAT(parse_chat_with("stop", "a")->stop, ElementsAre("a"));
  EXPECT_THAT(parse_chat_with("stop", {"a", "b"})->stop, ElementsAre("a", "b"));
  EXPECT_TRUE(parse_chat_with("stop", Json::array()).ok());
  for (const Json& bad : {Json(5), Json({1}), Json(Json::object())}) {
    EXPECT_EQ(parse_chat_with("stop", bad).error().param, "stop");
  }
  EXPECT_TRUE(parse_chat_with("stop_token_ids", Json(std::vector<int>(16, 5))).ok());
  EXPECT_FALSE(parse_chat_with("stop_token_ids", Json(std::vector<int>(17, 5))).ok());
  EXPECT_FALSE(parse_chat_with("stop_token_ids", {100}).ok());
}

TEST(ApiRequest, StreamOptionsNeedAStream) {
  Json body = chat_with("stream_options", {{"include_usage", true}});
  EXPECT_FALSE(parse(Endpoint::kChat, body).ok());
  body["stream"] = true;
  EXPECT_TRUE(parse(Endpoint::kChat, body)->include_usage);
  body["stream_options"] = {{"include_usage", "yes"}};
  EXPECT_EQ(parse(Endpoint::kChat, body).error().param, "stream_options.include_usage");
  EXPECT_FALSE(parse_chat_with("stream", "true").ok());
}

TEST(ApiRequest, UnknownFieldsAreIgnoredAndOnlyObjectsAreRequests) {
  EXPECT_TRUE(parse_chat_with("frobnicate", {1, 2}).ok());
  for (const Json& body : {Json(nullptr), Json(5), Json("x"), Json::array()}) {
    EXPECT_FALSE(parse(Endpoint::kChat, body).ok());
  }
}

}  // namespace
}  // namespace hadal
