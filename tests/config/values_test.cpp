#include "config/values.h"

#include <gtest/gtest.h>

#include <array>

namespace hadal {
namespace {

TEST(ParseInteger, TakesPlainAndSuffixedNumbers) {
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("-7"), -7);
  EXPECT_EQ(parse_integer("1k"), 1000);
  EXPECT_EQ(parse_integer("1K"), 1024);
  EXPECT_EQ(parse_integer("3M"), 3 << 20);
  EXPECT_EQ(parse_integer("80g"), 80'000'000'000);
  EXPECT_EQ(parse_integer("9223372036854775807"), INT64_MAX);
}

TEST(ParseInteger, RefusesWhatIsNotOne) {
  for (const char* text : {"", "k", "1kk", "1.5", " 1", "1 ", "0x10", "+1", "nan",
                           "9223372036854775808", "9223372036854775807k", "10000000T"}) {
    EXPECT_FALSE(parse_integer(text).has_value()) << text;
  }
}

TEST(ParseNumber, RefusesNonFinite) {
  EXPECT_EQ(parse_number("0.6"), 0.6);
  EXPECT_EQ(parse_number("1e-3"), 1e-3);
  for (const char* text : {"", "nan", "inf", "-inf", "1e999", "0.6x"}) {
    EXPECT_FALSE(parse_number(text).has_value()) << text;
  }
}

TEST(ParseSwitch, KnowsTheUsualSpellings) {
  for (const char* text : {"true", "True", "1", "yes", "ON"}) {
    EXPECT_EQ(parse_switch(text), true) << text;
  }
  for (const char* text : {"false", "FALSE", "0", "no", "off"}) {
    EXPECT_EQ(parse_switch(text), false) << text;
  }
  EXPECT_FALSE(parse_switch("maybe").has_value());
  EXPECT_FALSE(parse_switch("").has_value());
}

TEST(Nearest, PicksTheSmallestEditDistance) {
  constexpr std::array<std::string_view, 3> kNames = {"port", "host", "max-num-seqs"};
  EXPECT_EQ(nearest("prot", kNames), "port");
  EXPECT_EQ(nearest("max-seqs", kNames), "max-num-seqs");
  EXPECT_EQ(nearest("", kNames), "port");
  EXPECT_EQ(nearest("port", {}), "");
}

}  // namespace
}  // namespace hadal
