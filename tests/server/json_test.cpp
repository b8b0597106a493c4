#include "server/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hadal {
namespace {

using ::testing::HasSubstr;

std::string nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') +
         std::string(static_cast<size_t>(depth), ']');
}

TEST(ParseJson, HoldsTheDepthLimit) {
  EXPECT_TRUE(parse_json(nested(64), 64).ok());
  EXPECT_FALSE(parse_json(nested(65), 64).ok());
  EXPECT_FALSE(parse_json(nested(1'000'000), 64).ok());
  EXPECT_FALSE(parse_json(std::string(1'000'000, '['), 64).ok());
  EXPECT_TRUE(parse_json(R"({"a":"[[[[[[[[\"[[[[{{{{"})", 2).ok());
  EXPECT_TRUE(parse_json("[" + nested(1) + "," + nested(1) + "]", 2).ok());
}

TEST(ParseJson, RefusesWhatIsNotJsonOrNotUtf8) {
  for (const char* text : {"", "{", "}", "{\"a\":}", "nan", "[1,]", "{\"a\":1}x", "'a'",
                           "\"\\ud800\"", "[1e999]", "\"\x01\""}) {
    EXPECT_FALSE(parse_json(text, 64).ok()) << text;
  }
  EXPECT_THAT(parse_json("{\"a\":\"\xff\"}", 64).error().message, HasSubstr("byte 6"));
  EXPECT_TRUE(parse_json("\"\\u0000\"", 64).ok());
}

TEST(ParseJson, EveryTruncationOfAValidBodyIsRefused) {
  const std::string body = R"({"messages":[{"role":"user","content":"hé"}],"n":1})";
  EXPECT_TRUE(parse_json(body, 64).ok());
  for (size_t i = 0; i < body.size(); ++i) {
    EXPECT_FALSE(parse_json(std::string_view(body).substr(0, i), 64).ok()) << i;
  }
}

TEST(IntegerIn, NeverNarrows) {
  EXPECT_EQ(integer_in(Json(5)), 5);
  EXPECT_EQ(integer_in(Json(5.0)), 5);
  EXPECT_EQ(integer_in(Json(-1)), -1);
  EXPECT_EQ(integer_in(Json(9223372036854775807)), INT64_MAX);
  EXPECT_FALSE(integer_in(Json(uint64_t{9223372036854775808U})).has_value());
  EXPECT_FALSE(integer_in(Json(5.5)).has_value());
  EXPECT_FALSE(integer_in(Json(1e308)).has_value());
  EXPECT_FALSE(integer_in(Json("5")).has_value());
  EXPECT_FALSE(integer_in(Json(true)).has_value());
}

TEST(JsonFields, NullIsAbsentAndErrorsCarryThePath) {
  const Json object = {{"a", nullptr}, {"b", "x"}, {"c", 3}};
  const JsonFields fields(object, "outer[2]");
  EXPECT_EQ(fields.find("a"), nullptr);
  EXPECT_FALSE(fields.integer("a", 0, 9).value().has_value());
  EXPECT_FALSE(fields.boolean("missing").value().has_value());
  EXPECT_EQ(fields.integer("b", 0, 9).error().param, "outer[2].b");
  EXPECT_EQ(fields.integer("c", 0, 3).value(), 3);
  EXPECT_THAT(fields.integer("c", 0, 2).error().message, HasSubstr("0 to 2"));
  EXPECT_FALSE(fields.string("c").ok());
  EXPECT_FALSE(fields.boolean("c").ok());
  EXPECT_FALSE(fields.number("b", 0, 1).ok());
}

}  // namespace
}  // namespace hadal
