#include "hadal/core/model_spec.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/specs.h"

namespace hadal {
namespace {

TEST(ModelSpec, SoftmaxScaleOfR1) {
  EXPECT_NEAR(test::r1_spec().softmax_scale(), 0.1352337788608801, 1e-15);
}

TEST(ModelSpec, YarnFrequenciesOfR1) {
  std::vector<double> f(32);
  yarn_inv_freq(test::r1_spec(), f.data());
  EXPECT_DOUBLE_EQ(f[0], 1.0);
  EXPECT_NEAR(f[10], 0.0562341325, 1e-9);  // last unscaled one
  EXPECT_NEAR(f[11], 0.0390069266, 1e-9);  // on the ramp
  EXPECT_NEAR(f[22], 0.000177827941, 1e-11);
  EXPECT_NEAR(f[23], 3.33380358e-05, 1e-12);  // first fully scaled one
  EXPECT_NEAR(f[31], 3.33380358e-06, 1e-13);
}

TEST(ModelSpec, AcceptsTheKnownModels) {
  EXPECT_TRUE(validate(test::r1_spec()).ok());
  EXPECT_TRUE(validate(test::tiny_r1_spec()).ok());
}

TEST(ModelSpec, RefusesWhatTheArchitectureCannotHave) {
  const auto refused = [](void (*change)(ModelSpec&)) {
    ModelSpec spec = test::r1_spec();
    change(spec);
    const Status status = validate(spec);
    return status.ok() ? std::string("accepted") : status.error().message;
  };
  EXPECT_EQ(refused([](ModelSpec& s) { s.hidden_size = 0; }),
            "hidden_size is 0, wanted a positive number");
  EXPECT_EQ(refused([](ModelSpec& s) { s.topk_group = 9; }),
            "topk_group is 9, wanted at most n_group (8)");
  EXPECT_EQ(refused([](ModelSpec& s) { s.num_experts_per_tok = 129; }),
            "num_experts_per_tok is 129, wanted at most the 128 experts of topk_group groups");
  EXPECT_EQ(refused([](ModelSpec& s) { s.num_experts_per_tok = 128; }), "accepted");
  EXPECT_EQ(refused([](ModelSpec& s) { s.n_group = 7; }),
            "n_group is 7, wanted a divisor of n_routed_experts (256) leaving groups of 2 or more");
  EXPECT_EQ(refused([](ModelSpec& s) { s.num_nextn_predict_layers = 2; }),
            "num_nextn_predict_layers is 2, wanted 0 or 1");
  EXPECT_EQ(refused([](ModelSpec& s) { s.eos_token_id = 129280; }),
            "eos_token_id is 129280, wanted 0 to vocab_size - 1 (129279)");
}

}  // namespace
}  // namespace hadal
