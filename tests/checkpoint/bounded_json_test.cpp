#include "checkpoint/bounded_json.h"

#include <gtest/gtest.h>

namespace hadal::checkpoint {
namespace {

std::string refusal(const std::string& text) {
  const Result<nlohmann::json> parsed = parse_json(text, "f");
  return parsed.ok() ? "accepted" : parsed.error().message;
}

TEST(BoundedJson, BuildsTheDocument) {
  const std::string text = R"({"a": [1, -2, 2.5, true, null, "x"], "b": {"c": {}}})";
  const Result<nlohmann::json> parsed = parse_json(text, "f");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(*parsed, nlohmann::json::parse(text));
}

TEST(BoundedJson, RefusesDuplicateKeys) {
  EXPECT_EQ(refusal(R"({"a": 1, "b": {"a": 2}})"), "accepted");
  EXPECT_EQ(refusal(R"({"a": 1, "a": 2})"), "f holds the key 'a' twice in one object");
  EXPECT_EQ(refusal(R"({"b": [{"a": 1, "a": 2}]})"), "f holds the key 'a' twice in one object");
}

TEST(BoundedJson, BoundsNesting) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(refusal(nested(kJsonDepthMax)), "accepted");
  EXPECT_EQ(refusal(nested(kJsonDepthMax + 1)), "f holds more than 32 levels of nesting");
  EXPECT_EQ(refusal(std::string(10'000'000, '[')), "f holds more than 32 levels of nesting");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  EXPECT_EQ(refusal(objects), "f holds more than 32 levels of nesting");
}

TEST(BoundedJson, RefusesWhatIsNotJson) {
  EXPECT_EQ(refusal(""), "f holds invalid JSON at byte 1");
  EXPECT_EQ(refusal("{} x"), "f holds invalid JSON at byte 4");
  EXPECT_EQ(refusal("{\"\xff\": 1}"), "f holds invalid JSON at byte 3");
  EXPECT_EQ(refusal("[1e999]"), "f holds invalid JSON at byte 6");
  EXPECT_EQ(refusal("[NaN]"), "f holds invalid JSON at byte 2");
}

}  // namespace
}  // namespace hadal::checkpoint
