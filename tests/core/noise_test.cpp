#include "hadal/core/noise.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hadal {
namespace {

using Words = std::array<uint32_t, 4>;

// Known answers published with the generator (Random123, kat_vectors, philox4x32 10 rounds).
TEST(Philox, MatchesThePublishedVectors) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Uniform, StaysInsideTheOpenInterval) {
  EXPECT_GT(uniform_from(0), 0.0F);
  EXPECT_LT(uniform_from(~0u), 1.0F);
}

TEST(Gumbel, HasTheDistributionsMeanAndVariance) {
  double sum = 0, squares = 0;
  constexpr int kDraws = 200000;
  for (uint32_t id = 0; id < kDraws; ++id) {
    const double g = gumbel_noise(42, 0, 7, id);
    ASSERT_TRUE(std::isfinite(g));
    sum += g;
    squares += g * g;
  }
  const double mean = sum / kDraws;
  EXPECT_NEAR(mean, 0.5772, 0.01);                            // Euler's constant
  EXPECT_NEAR(squares / kDraws - mean * mean, 1.6449, 0.03);  // pi^2 / 6
}

TEST(Gumbel, EveryPartOfTheKeyMatters) {
  const float base = gumbel_noise(1, 0, 5, 9);
  EXPECT_NE(base, gumbel_noise(2, 0, 5, 9));
  EXPECT_NE(base, gumbel_noise(1ull << 32 | 1, 0, 5, 9));
  EXPECT_NE(base, gumbel_noise(1, 1, 5, 9));
  EXPECT_NE(base, gumbel_noise(1, 0, 6, 9));
  EXPECT_NE(base, gumbel_noise(1, 0, 5, 10));
  EXPECT_EQ(base, gumbel_noise(1, 0, 5, 9));
}

}  // namespace
}  // namespace hadal
