// The sampler's rules, and its distribution.
#include "ops/cpu/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "hadal/core/noise.h"

namespace hadal::ops {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

SamplingParams params(float temperature, int top_k = 0, float top_p = 1.0F, uint64_t seed = 7) {
  SamplingParams p;
  p.temperature = temperature;
  p.top_k = top_k;
  p.top_p = top_p;
  p.seed = seed;
  return p;
}

// How often each id is drawn over positions 0 … draws - 1.
std::map<TokenId, int> histogram(const std::vector<float>& logits, const SamplingParams& p,
                                 int draws) {
  Sampler sampler(static_cast<int>(logits.size()));
  std::map<TokenId, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[sampler.sample(logits, p, i)];
  return counts;
}

TEST(Argmax, FindsTheLargestAtEveryPosition) {
  for (const size_t size : {1, 2, 15, 16, 17, 33, 100}) {
    for (size_t at = 0; at < size; ++at) {
      std::vector<float> logits(size, -3.0F);
      logits[at] = -1.0F;
      EXPECT_EQ(Sampler::argmax(logits), static_cast<TokenId>(at)) << "of " << size;
    }
  }
}

TEST(Argmax, LowestIdWinsTies) {
  std::vector<float> logits(40, 0.0F);
  EXPECT_EQ(Sampler::argmax(logits), 0);
  logits[21] = logits[37] = logits[5] = 1.0F;
  EXPECT_EQ(Sampler::argmax(logits), 5);
}

TEST(Argmax, ANaNOrInfinityAnywhereIsNotFinite) {
  for (const float bad : {NAN, kInfinity}) {
    for (size_t at = 0; at < 35; ++at) {
      std::vector<float> logits(35, 1.0F);
      logits[at] = bad;
      EXPECT_EQ(Sampler::argmax(logits), kNotFiniteToken) << at;
      Sampler sampler(35);
      EXPECT_EQ(sampler.sample(logits, params(1.0F), 3), kNotFiniteToken) << at;
    }
  }
}

TEST(Argmax, MinusInfinityIsNeverChosenUnlessThereIsNothingElse) {
  std::vector<float> logits(20, -kInfinity);
  EXPECT_EQ(Sampler::argmax(logits), kNotFiniteToken);
  logits[13] = -500.0F;
  EXPECT_EQ(Sampler::argmax(logits), 13);
  Sampler sampler(20);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sampler.sample(logits, params(2.0F), i), 13);
}

TEST(Sampler, ATemperatureBelowTheLimitIsGreedy) {
  Sampler sampler(3);
  const std::vector<float> logits{1.0F, 1.001F, 0.0F};
  for (int i = 0; i < 200; ++i) EXPECT_EQ(sampler.sample(logits, params(0.99e-5F), i), 1);
}

TEST(Sampler, TopKOfOneIsGreedy) {
  Sampler sampler(3);
  const std::vector<float> logits{1.0F, 1.001F, 0.0F};
  for (int i = 0; i < 200; ++i) EXPECT_EQ(sampler.sample(logits, params(1.0F, 1), i), 1);
}

TEST(Sampler, TopKKeepsExactlyKAndTheLowerIdsOfEqualOnes) {
  const std::vector<float> logits{0.0F, 2.0F, 1.0F, 1.0F, 1.0F};
  const auto counts = histogram(logits, params(2.0F, 3), 3000);
  EXPECT_EQ(counts.size(), 3U);
  EXPECT_TRUE(counts.contains(1) && counts.contains(2) && counts.contains(3));
  EXPECT_EQ(histogram(logits, params(2.0F, 5), 3000).size(), 5U);
  EXPECT_EQ(histogram(logits, params(2.0F, 6), 3000).size(), 5U);
}

TEST(Sampler, TopPKeepsTheCrossingTokenAndNoMore) {
  const std::vector<float> logits{std::log(0.5F), std::log(0.3F), std::log(0.15F), std::log(0.05F)};
  EXPECT_EQ(histogram(logits, params(1.0F, 0, 0.49F), 2000).size(), 1U);
  EXPECT_EQ(histogram(logits, params(1.0F, 0, 0.51F), 2000).size(), 2U);
  EXPECT_EQ(histogram(logits, params(1.0F, 0, 0.79F), 2000).size(), 2U);
  EXPECT_EQ(histogram(logits, params(1.0F, 0, 0.81F), 2000).size(), 3U);
  EXPECT_EQ(histogram(logits, params(1.0F, 0, 0.999F), 2000).size(), 4U);
}

// More equal tokens than are sorted at once: exactly half of them, the lower ids.
TEST(Sampler, TopPOverAFlatDistributionKeepsTheLowerIds) {
  const auto counts = histogram(std::vector<float>(200, 1.0F), params(1.0F, 0, 0.5F), 20000);
  EXPECT_EQ(counts.size(), 100U);
  EXPECT_EQ(counts.rbegin()->first, 99);
}

TEST(Sampler, TopPLooksAtWhatTopKLeft) {
  const std::vector<float> logits{std::log(0.4F), std::log(0.3F), std::log(0.3F)};
  // Of the two kept, the first has 4/7 = 0.571.
  EXPECT_EQ(histogram(logits, params(1.0F, 2, 0.57F), 2000).size(), 1U);
  EXPECT_EQ(histogram(logits, params(1.0F, 2, 0.58F), 2000).size(), 2U);
}

// Pearson's chi-square against softmax(logits / T). 99.99th percentile with 15 degrees of freedom:
// 44.3.
TEST(Sampler, DrawsFollowTheTemperedDistribution) {
  constexpr int kDraws = 40000;
  std::mt19937_64 random(20261124);
  for (const float temperature : {0.3F, 0.6F, 1.0F, 2.0F}) {
    std::vector<float> logits(16);
    for (float& l : logits) l = static_cast<float>(random() % 1000) / 1000.0F;
    double total = 0.0;
    for (const float l : logits) total += std::exp(double{l} / temperature);
    auto counts = histogram(logits, params(temperature), kDraws);
    double chi_square = 0.0;
    for (size_t i = 0; i < logits.size(); ++i) {
      const double wanted = kDraws * std::exp(double{logits[i]} / temperature) / total;
      const double d = counts[static_cast<TokenId>(i)] - wanted;
      chi_square += d * d / wanted;
    }
    EXPECT_LT(chi_square, 44.3) << "temperature " << temperature;
  }
}

// The rule itself, over every id: skipping candidates that cannot win changes nothing.
TEST(Sampler, IsTheArgmaxOfLogitPlusNoise) {
  std::mt19937_64 random(20261124);
  Sampler sampler(300);
  for (int position = 0; position < 500; ++position) {
    std::vector<float> logits(300);
    for (float& l : logits) l = static_cast<float>(random() % 40000) / 1000.0F;
    const SamplingParams p = params(0.8F, 0, 1.0F, random());
    TokenId best = 0;
    float best_score = -kInfinity;
    for (TokenId id = 0; id < 300; ++id) {
      const float score = logits[static_cast<size_t>(id)] * (1.0F / p.temperature) +
                          gumbel_noise(p.seed, p.choice, static_cast<uint32_t>(position),
                                       static_cast<uint32_t>(id));
      if (score > best_score) {
        best_score = score;
        best = id;
      }
    }
    EXPECT_EQ(sampler.sample(logits, p, position), best);
  }
}

TEST(Sampler, SeedChoiceAndPositionDecideTheDraw) {
  const std::vector<float> flat(64, 0.0F);
  Sampler sampler(64);
  SamplingParams p = params(1.0F);
  std::vector<TokenId> first, other_seed, other_choice, again;
  for (int i = 0; i < 20; ++i) first.push_back(sampler.sample(flat, p, i));
  for (int i = 0; i < 20; ++i) again.push_back(sampler.sample(flat, p, i));
  p.choice = 1;
  for (int i = 0; i < 20; ++i) other_choice.push_back(sampler.sample(flat, p, i));
  p = params(1.0F, 0, 1.0F, 8);
  for (int i = 0; i < 20; ++i) other_seed.push_back(sampler.sample(flat, p, i));
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other_choice);
  EXPECT_NE(first, other_seed);
}

}  // namespace
}  // namespace hadal::ops
