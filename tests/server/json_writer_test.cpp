#include "server/json_writer.h"

#include <gtest/gtest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "hadal/base/utf8.h"

namespace hadal {
namespace {

std::string json_string(std::string_view text) {
  std::string out = "\"";
  append_json_escaped(out, text);
  return out + "\"";
}

TEST(JsonEscape, EveryByteAndItsNeighbourComesBack) {
  for (int a = 0; a < 0x80; ++a) {
    const std::string text = {static_cast<char>(a), 'x', static_cast<char>(0x7f - a)};
    EXPECT_EQ(nlohmann::json::parse(json_string(text)), text) << a;
  }
}

TEST(JsonEscape, RandomTextIsReadBackByAnIndependentParser) {
  constexpr uint32_t kSeed = 20261124;
  std::cout << "seed " << kSeed << '\n';
  std::mt19937 random(kSeed);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t length = random() % 40; length > 0; --length) {
      const uint32_t code_point = random() % (random() % 2 == 0 ? 0x80 : 0x110000);
      if (code_point < 0xD800 || code_point > 0xDFFF) append_utf8(text, code_point);
    }
    EXPECT_EQ(nlohmann::json::parse(json_string(text)), text);
  }
}

TEST(JsonEscape, RandomBytesAlwaysGiveValidJson) {
  constexpr uint32_t kSeed = 7;
  std::mt19937 random(kSeed);
  for (int round = 0; round < 5000; ++round) {
    std::string bytes;
    for (size_t length = random() % 12; length > 0; --length) {
      bytes += static_cast<char>(random() % 2 == 0 ? 0x80 + random() % 0x80 : random());
    }
    EXPECT_TRUE(nlohmann::json::accept(json_string(bytes))) << round;
  }
  EXPECT_EQ(nlohmann::json::parse(json_string("a\xff\xe2\x82z")), "a\xEF\xBF\xBD\xEF\xBF\xBDz");
}

TEST(JsonWriter, PutsCommasWhereTheyBelong) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("a", 1).field("b", "x\"").key("c").begin_array();
  json.value(true).value(-2).null().value(0.5).begin_object().end_object().end_array();
  json.key("d").begin_object().field("e", uint64_t{18446744073709551615U}).end_object();
  json.end_object();
  EXPECT_EQ(out, R"({"a":1,"b":"x\"","c":[true,-2,null,0.5,{}],"d":{"e":18446744073709551615}})");
}

}  // namespace
}  // namespace hadal
