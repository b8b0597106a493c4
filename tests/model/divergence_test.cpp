// A sample of the evaluation sets; divergence_slow_test.cpp takes all of them.
#include "model/divergence_checks.h"

namespace hadal {
namespace {

TEST(Divergence, OfTheServingPathFromFp32IsSmall) {
  EXPECT_GT(test::expect_small_divergence(/*stride=*/64), 3000);
}

}  // namespace
}  // namespace hadal
