#include "model/divergence_checks.h"

namespace hadal {
namespace {

// The model card counts 254,354 tokens: equal counts say that prompts and completions are
// tokenised as they were there.
TEST(Divergence, OfTheServingPathFromFp32IsSmallOnAllSets) {
  EXPECT_EQ(test::expect_small_divergence(/*stride=*/1), 254354);
}

}  // namespace
}  // namespace hadal
