#include "hadal/base/utf8.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

TEST(Utf8, RoundTripsEveryScalarValue) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, c);
    const Utf8Char got = decode_utf8(text);
    ASSERT_TRUE(got.valid) << std::hex << static_cast<uint32_t>(c);
    ASSERT_EQ(got.code_point, c);
    ASSERT_EQ(got.bytes, text.size());
    for (size_t n = 1; n < text.size(); ++n) ASSERT_TRUE(decode_utf8(text.substr(0, n)).incomplete);
  }
}

TEST(Utf8, RefusesOverlongSurrogatesAndOutOfRange) {
  for (const char* bad :
       {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8", "\x80"}) {
    EXPECT_EQ(find_invalid_utf8(bad), 0u) << bad;
    EXPECT_FALSE(decode_utf8(bad).incomplete);
  }
}

TEST(Utf8, MaximalSubpartsAreConsumedTogether) {
  EXPECT_EQ(decode_utf8("\xe2\x82x").bytes, 2u);
  EXPECT_EQ(decode_utf8("\xf0\x9f\x98"
                        "A")
                .bytes,
            3u);
  EXPECT_EQ(decode_utf8("\xed\xa0\x80").bytes, 1u);
}

TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_EQ(find_invalid_utf8("grüße"), std::string_view::npos);
  EXPECT_EQ(find_invalid_utf8("ab\xff"), 2u);
}

}  // namespace
}  // namespace hadal
