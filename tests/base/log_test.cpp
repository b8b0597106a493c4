#include "hadal/base/log.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

TEST(Printable, EscapesWhatCouldForgeALine) {
  EXPECT_EQ(printable("a\nb\r\x1b[31m"), "a\\u000ab\\u000d\\u001b[31m");
  EXPECT_EQ(printable("x\xe2\x80\xa8y"), "x\\u2028y");
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable("日本 ok"), "日本 ok");
}

TEST(Printable, CutsLongText) {
  EXPECT_EQ(printable("abcdef", 3), "abc…");
}

}  // namespace
}  // namespace hadal
