// The bounds on the serving path's distance from plain fp32, and the comparison that both the short
// and the slow test make.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>

#include "hadal/ops/cpu/cpu_ops.h"
#include "model/golden_checks.h"
#include "model/teacher_forcing.h"
#include "reference/reference_ops.h"

namespace hadal::test {

// FP8 served, against FP8 in fp32: what rounding to bf16 may do.
inline constexpr double kServingKlMax = 1e-4;
inline constexpr double kServingChangesMax = 15;  // in 10,000 tokens
// NVFP4 served, against FP8 in fp32: twice what the model card measures (2.2e-4, 38).
inline constexpr double kNvfp4KlMax = 2 * 2.2e-4;
inline constexpr double kNvfp4ChangesMax = 2 * 38;

// Over every `stride`-th item of the evaluation sets; returns the number of tokens compared.
inline int64_t expect_small_divergence(int stride) {
  reference::ReferenceOps reference;
  const std::unique_ptr<ops::Ops> cpu = ops::make_cpu_ops({}).value();
  const Model base = load_tiny_r1("fp8", reference);
  const Model fp8 = load_tiny_r1("fp8", *cpu);
  const Model nvfp4 = load_tiny_r1("nvfp4", *cpu);
  const std::vector<Divergence> found = divergences(base, {&fp8, &nvfp4}, gold_completions(stride));
  for (size_t i = 0; i < found.size(); ++i) {
    std::printf("%s: KL %.3g, %.1f changes in 10,000, over %lld tokens\n", i == 0 ? "fp8" : "nvfp4",
                found[i].kl_mean(), found[i].changes_in_10000(),
                static_cast<long long>(found[i].tokens));
  }
  EXPECT_LE(found[0].kl_mean(), kServingKlMax);
  EXPECT_LE(found[0].changes_in_10000(), kServingChangesMax);
  EXPECT_LE(found[1].kl_mean(), kNvfp4KlMax);
  EXPECT_LE(found[1].changes_in_10000(), kNvfp4ChangesMax);
  EXPECT_GT(found[1].kl_mean(), found[0].kl_mean()) << "NVFP4 cannot be nearer than FP8";
  return found[0].tokens;
}

}  // namespace hadal::test
