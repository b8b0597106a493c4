#include "hadal/base/check.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

TEST(Check, PassesSilently) {
  HADAL_CHECK(true);
  HADAL_CHECK(1 + 1 == 2, "never formatted {}", 1);
}

TEST(CheckDeathTest, NamesConditionAndValues) {
  const int pages = 3;
  EXPECT_DEATH(HADAL_CHECK(pages == 4, "{} pages, wanted {}", pages, 4),
               "pages == 4: 3 pages, wanted 4");
  EXPECT_DEATH(HADAL_CHECK(pages == 4), "CHECK failed at .*check_test.cpp");
}

}  // namespace
}  // namespace hadal
