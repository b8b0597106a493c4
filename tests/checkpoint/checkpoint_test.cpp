#include "hadal/checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>

#include "support/checkpoint_files.h"

namespace hadal {
namespace {

using test::bf16_tensor;
using test::bytes_of;
using test::FileTensor;

TEST(Checkpoint, OpensTinyR1) {
  const Result<Checkpoint> opened = Checkpoint::open(test::kTinyR1);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(opened->spec().num_hidden_layers, 4);
  EXPECT_EQ(opened->declared_format(), WeightFormat::kFp8Block);
  EXPECT_EQ(opened->generation_defaults().temperature, 0.6F);
  EXPECT_EQ(opened->generation_defaults().top_p, 0.95F);
  EXPECT_GT(opened->tensor_bytes(), 23'000'000);
  EXPECT_TRUE(opened->contains("lm_head.weight"));
  EXPECT_FALSE(opened->contains("lm_head"));
  EXPECT_TRUE(opened->check_unchanged().ok());
}

// kv_a_proj_with_mqa has 576 rows: the fifth row of scales covers 64 of them.
TEST(Checkpoint, FindsScalesOfPartialBlocks) {
  const Checkpoint checkpoint = Checkpoint::open(test::kTinyR1).value();
  const Result<LinearView> view =
      checkpoint.linear("model.layers.0.self_attn.kv_a_proj_with_mqa", 576, 256);
  ASSERT_TRUE(view.ok()) << view.error().message;
  EXPECT_EQ(view->format, WeightFormat::kFp8Block);
  EXPECT_NE(view->scales, nullptr);
}

TEST(Checkpoint, FindsAScaleInAnotherShard) {
  const Checkpoint checkpoint = Checkpoint::open(test::kTinyR1).value();
  const Result<LinearView> view = checkpoint.linear("model.layers.2.self_attn.o_proj", 256, 512);
  ASSERT_TRUE(view.ok()) << view.error().message;
  float scale = 0.0F;
  std::memcpy(&scale, view->scales, sizeof scale);
  EXPECT_GT(scale, 0.0F);
  EXPECT_LT(scale, 1.0F);
}

TEST(Checkpoint, GivesBf16LinearsAndVectors) {
  const Checkpoint checkpoint = Checkpoint::open(test::kTinyR1).value();
  const Result<LinearView> head = checkpoint.linear("lm_head", 2048, 256);
  ASSERT_TRUE(head.ok()) << head.error().message;
  EXPECT_EQ(head->format, WeightFormat::kBf16);
  EXPECT_EQ(head->scales, nullptr);
  EXPECT_TRUE(checkpoint.vector("model.norm.weight", VectorType::kBf16, 256).ok());
  EXPECT_TRUE(
      checkpoint.vector("model.layers.1.mlp.gate.e_score_correction_bias", VectorType::kF32, 16)
          .ok());
}

// A tiny NVFP4 linear "x" of 2 x 32, with what `change` makes of its tensors.
Result<LinearView> nvfp4_linear(const test::TempFolder& folder,
                                void (*change)(std::vector<FileTensor>&)) {
  std::vector<FileTensor> tensors = {
      {"x.weight", "U8", {2, 16}, std::string(32, '\x21')},
      {"x.weight_scale", "F8_E4M3", {2, 2}, std::string("\x38\x38\x38\x7e", 4)},
      {"x.weight_scale_2", "F32", {}, bytes_of({0.25F})},
      {"x.input_scale", "F32", {}, bytes_of({0.5F})}};
  change(tensors);
  test::write_model(folder, tensors);
  Result<Checkpoint> checkpoint = Checkpoint::open(folder.path());
  if (!checkpoint) return checkpoint.error();
  return checkpoint->linear("x", 2, 32);
}

TEST(Checkpoint, GivesNvfp4Linears) {
  const test::TempFolder folder;
  const Result<LinearView> view = nvfp4_linear(folder, [](std::vector<FileTensor>&) {});
  ASSERT_TRUE(view.ok()) << view.error().message;
  EXPECT_EQ(view->format, WeightFormat::kNvfp4);
  EXPECT_EQ(view->global_scale, 0.25F);
  EXPECT_EQ(view->input_scale, 0.5F);
}

TEST(Checkpoint, Nvfp4WithoutInputScaleIsWeightOnly) {
  const test::TempFolder folder;
  const Result<LinearView> view = nvfp4_linear(folder, [](auto& t) { t.pop_back(); });
  ASSERT_TRUE(view.ok()) << view.error().message;
  EXPECT_EQ(view->input_scale, 0.0F);
}

TEST(Checkpoint, AcceptsScalarsOfShapeOne) {
  const test::TempFolder folder;
  EXPECT_TRUE(nvfp4_linear(folder, [](auto& t) { t[2].shape = {1}; }).ok());
}

std::string refusal(void (*change)(std::vector<FileTensor>&)) {
  const test::TempFolder folder;
  const Result<LinearView> view = nvfp4_linear(folder, change);
  if (view.ok()) return "accepted";
  std::string message = view.error().message;
  const size_t at = message.find(folder.path().native());
  if (at != std::string::npos) message.replace(at, folder.path().native().size(), "DIR");
  return message;
}

TEST(Checkpoint, RefusesWrongNvfp4Tensors) {
  EXPECT_EQ(refusal([](auto& t) { t.erase(t.begin() + 1); }),
            "DIR: tensor x.weight_scale is missing, wanted F8_E4M3 [2, 2]");
  EXPECT_EQ(refusal([](auto& t) { t.erase(t.begin() + 2); }),
            "DIR: tensor x.weight_scale_2 is missing, wanted F32 []");
  EXPECT_EQ(
      refusal([](auto& t) {
        t[1].shape = {4, 1};
      }),
      "DIR/model.safetensors: tensor x.weight_scale is F8_E4M3 [4, 1], wanted F8_E4M3 [2, 2]");
  EXPECT_EQ(refusal([](auto& t) { t[1].data[3] = '\x7f'; }),
            "DIR/model.safetensors: tensor x.weight_scale: element 3 has e4m3 code 0x7f, wanted a "
            "finite scale of 0 or more");
  EXPECT_EQ(refusal([](auto& t) { t[2].data = bytes_of({INFINITY}); }),
            "DIR/model.safetensors: tensor x.weight_scale_2: element 0 is inf, wanted a finite "
            "scale of 0 or more");
  EXPECT_EQ(refusal([](auto& t) {
              t[0].shape = {16, 2};
            }),
            "DIR/model.safetensors: tensor x.weight is U8 [16, 2], wanted U8 [2, 16]");
}

}  // namespace
}  // namespace hadal
