#include "hadal/model/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>

#include "hadal/model/step.h"
#include "hadal/ops/cpu/cpu_step_state.h"
#include "reference/reference_ops.h"
#include "support/measuring_context.h"
#include "support/micro_model.h"

namespace hadal {
namespace {

constexpr int kPositions = 256;

// Loads what `change` makes of the micro model, on the reference.
Result<Model> load_changed(ops::Ops& ops, bool mtp,
                           const std::function<void(test::MicroModel&)>& change) {
  const test::TempFolder folder;
  test::MicroModel micro;
  change(micro);
  micro.write(folder);
  HADAL_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::open(folder.path()));
  return Model::load(checkpoint, ops, {.mtp = mtp, .positions_max = kPositions});
}

Model load_micro(ops::Ops& ops, bool mtp) {
  return std::move(load_changed(ops, mtp, [](test::MicroModel&) {}).value());
}

TEST(Model, SaysWhatItLoaded) {
  reference::ReferenceOps ops;
  const Model plain = load_micro(ops, false);
  EXPECT_FALSE(plain.has_mtp());
  EXPECT_EQ(plain.kv_layers(), 2);
  const Model speculating = load_micro(ops, true);
  EXPECT_TRUE(speculating.has_mtp());
  EXPECT_EQ(speculating.kv_layers(), 3);
  EXPECT_GT(speculating.weight_bytes(), plain.weight_bytes());
  EXPECT_GT(plain.weight_bytes(), 0);
}

// Each tensor but the MTP layer's copies of embedding and head is needed, and named when missing.
TEST(Model, NeedsEveryTensorOfTheArchitecture) {
  reference::ReferenceOps ops;
  const size_t count = test::MicroModel().tensors().size();
  ASSERT_EQ(count, 73U) << "3 of the model, 12 of a dense layer, 26 of each MoE layer, 6 of MTP";
  for (size_t i = 0; i < count; ++i) {
    std::string dropped;
    const Result<Model> model = load_changed(ops, true, [&](test::MicroModel& micro) {
      dropped = micro.tensors()[i].name;
      micro.tensors().erase(micro.tensors().begin() + static_cast<std::ptrdiff_t>(i));
    });
    const bool is_copy = dropped == "model.layers.2.embed_tokens.weight" ||
                         dropped == "model.layers.2.shared_head.head.weight";
    EXPECT_EQ(model.ok(), is_copy) << dropped;
    if (!model.ok()) {
      EXPECT_NE(model.error().message.find("tensor " + dropped + " is missing"), std::string::npos)
          << model.error().message;
    }
  }
}

TEST(Model, RefusesAnyTransposedMatrix) {
  reference::ReferenceOps ops;
  const size_t count = test::MicroModel().tensors().size();
  for (size_t i = 0; i < count; ++i) {
    std::string name;
    bool square = false;
    const Result<Model> model = load_changed(ops, true, [&](test::MicroModel& micro) {
      test::FileTensor& tensor = micro.tensors()[i];
      name = tensor.name;
      std::reverse(tensor.shape.begin(), tensor.shape.end());
      square = tensor.shape.front() == tensor.shape.back();
    });
    const bool is_copy = name.find(".2.embed_tokens") != std::string::npos ||
                         name.find("shared_head.head") != std::string::npos;
    EXPECT_EQ(model.ok(), square || is_copy) << name;
  }
}

TEST(Model, LoadsWithoutTheMtpLayersTensors) {
  reference::ReferenceOps ops;
  const auto drop_mtp = [](test::MicroModel& micro) {
    std::erase_if(micro.tensors(),
                  [](const auto& t) { return t.name.starts_with("model.layers.2."); });
  };
  EXPECT_TRUE(load_changed(ops, false, drop_mtp).ok());
  EXPECT_FALSE(load_changed(ops, true, drop_mtp).ok());
}

TEST(Model, RefusesSpeculationWithoutAnMtpLayer) {
  reference::ReferenceOps ops;
  const test::TempFolder folder;
  test::MicroModel().write(folder);
  nlohmann::json config = test::micro_config();
  config["num_nextn_predict_layers"] = 0;
  folder.write("config.json", config.dump());
  const Checkpoint checkpoint = Checkpoint::open(folder.path()).value();
  const Result<Model> model = Model::load(checkpoint, ops, {.mtp = true, .positions_max = 8});
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().message,
            "config.json: num_nextn_predict_layers is 0, wanted 1: speculative decoding needs the "
            "MTP layer");
  EXPECT_TRUE(Model::load(checkpoint, ops, {.mtp = false, .positions_max = 8}).ok());
}

// A step of one prompt of `tokens` tokens, with its memory; returns the scratch it used.
int64_t measured_scratch(const Model& model, int tokens, int drafts) {
  const ModelSpec& spec = model.spec();
  const int32_t pages = kPositions / kPageTokens + 1;
  std::vector<std::byte> memory(
      static_cast<size_t>(pages * model.kv_layers() * model.ops().kv_page_bytes(spec)));
  const auto state = ops::make_cpu_step_state({.slots = 1,
                                               .pages_per_slot = pages - 1,
                                               .pages_total = pages,
                                               .vocab_size = spec.vocab_size,
                                               .drafts_max = drafts,
                                               .query_tokens_max = kPositions});
  StepPlan plan{.step = 1, .drafts = drafts};
  plan.opens.push_back({.incarnation = Incarnation{1},
                        .prompt_tokens = tokens,
                        .tokens_left = 8,
                        .sampling = {.temperature = 0.0F}});
  for (int32_t i = 1; i < pages; ++i) plan.pages.push_back(PageId{i});
  plan.grants.push_back({.pages_end = pages - 1});
  plan.tokens.resize(static_cast<size_t>(tokens));
  std::iota(plan.tokens.begin(), plan.tokens.end(), 0);
  plan.rows.push_back(
      {.kind = RowKind::kPrefill, .incarnation = Incarnation{1}, .tokens_end = tokens});

  const ops::PagedKvCache cache{.pages = memory.data(),
                                .page_table = state->page_table(),
                                .pages_per_slot = pages - 1,
                                .pages_total = pages,
                                .layers = model.kv_layers()};
  test::MeasuringContext context(model.ops().make_context(1 << 24));
  StepResult result;
  run_step(model, context, *state, cache, plan, ChainState::kPostNorm, result);
  EXPECT_EQ(result.step, 1U);
  EXPECT_EQ(result.rows.at(0).count, 1);
  EXPECT_EQ(context.mark(), 0) << "a step gives back what it allocated";
  return context.peak_bytes();
}

TEST(Step, ScratchArithmeticIsWhatAStepAllocates) {
  reference::ReferenceOps ops;
  for (const bool mtp : {false, true}) {
    const Model model = load_micro(ops, mtp);
    for (const int tokens : {1, 2, 65}) {
      const int64_t wanted =
          step_scratch_bytes(model, {.query_tokens = tokens, .logit_rows = 1, .sampled_rows = 1});
      EXPECT_EQ(measured_scratch(model, tokens, mtp ? 3 : 0), wanted)
          << tokens << " tokens, mtp " << mtp;
    }
  }
}

TEST(Step, AStepWithoutDraftsStillRunsTheMtpRows) {
  reference::ReferenceOps ops;
  const Model model = load_micro(ops, true);
  const int64_t with_mtp_rows = measured_scratch(model, 65, 0);
  EXPECT_GE(with_mtp_rows, model.mtp_scratch_bytes(65));
}

}  // namespace
}  // namespace hadal
