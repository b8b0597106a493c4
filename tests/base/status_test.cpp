#include "hadal/base/status.h"

#include <gtest/gtest.h>

#include <memory>

namespace hadal {
namespace {

Result<int> half(int x) {
  if (x % 2 != 0) return Error{ErrorCode::kInvalidArgument, "odd"};
  return x / 2;
}

Result<int> quarter(int x) {
  HADAL_ASSIGN_OR_RETURN(const int h, half(x));
  return half(h);
}

Status both(int a, int b) {
  HADAL_RETURN_IF_ERROR(half(a));
  HADAL_RETURN_IF_ERROR(half(b));
  return {};
}

TEST(Result, CarriesValueOrError) {
  EXPECT_EQ(*half(4), 2);
  ASSERT_FALSE(half(3));
  EXPECT_EQ(half(3).error().code, ErrorCode::kInvalidArgument);
}

TEST(Result, MacrosReturnTheFirstError) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_FALSE(quarter(6).ok());
  EXPECT_TRUE(both(2, 4).ok());
  EXPECT_EQ(both(2, 5).error().message, "odd");
}

TEST(Result, MovesOutMoveOnlyValues) {
  Result<std::unique_ptr<int>> r(std::make_unique<int>(5));
  const std::unique_ptr<int> p = std::move(r).value();
  EXPECT_EQ(*p, 5);
}

TEST(ResultDeathTest, ValueOfAnErrorIsABug) {
  EXPECT_DEATH((void)half(3).value(), "value\\(\\) of an error: odd");
}

}  // namespace
}  // namespace hadal
