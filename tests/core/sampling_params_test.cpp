#include "hadal/core/sampling_params.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hadal/core/limits.h"

namespace hadal {
namespace {

std::string refusal(const SamplingParams& params) {
  const Status status = validate(params, 2048);
  return status.ok() ? "" : status.error().message;
}

TEST(SamplingParams, DefaultsAreValid) {
  EXPECT_EQ(refusal({}), "");
}

TEST(SamplingParams, RangesAtTheEdges) {
  EXPECT_EQ(refusal({.temperature = 2.0F}), "");
  EXPECT_EQ(refusal({.temperature = 2.01F}), "temperature must be in [0, 2], got 2.01.");
  EXPECT_NE(refusal({.temperature = NAN}), "");
  EXPECT_EQ(refusal({.top_p = 0.0F}), "top_p must be in (0, 1], got 0.");
  EXPECT_NE(refusal({.top_p = NAN}), "");
  EXPECT_EQ(refusal({.top_k = -1}), "top_k must be -1 or 0 (off) or at least 1, got -1.");
  EXPECT_EQ(refusal({.max_tokens = 0}), "max_tokens must be at least 1, got 0.");
}

TEST(SamplingParams, StopTokenIdsAtLimitAndOver) {
  SamplingParams params{.stop_token_ids = std::vector<TokenId>(kStopTokenIdsMax, 5)};
  EXPECT_EQ(refusal(params), "");
  params.stop_token_ids.push_back(5);
  EXPECT_EQ(refusal(params), "stop_token_ids must be at most 16 ids, got 17.");
  EXPECT_EQ(refusal({.stop_token_ids = {2048}}),
            "stop_token_ids must be ids in [0, 2047], got 2048.");
}

}  // namespace
}  // namespace hadal
