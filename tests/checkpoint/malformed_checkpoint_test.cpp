// Model folders broken in one way each: the one-line refusal an operator reads.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "hadal/checkpoint/checkpoint.h"
#include "support/checkpoint_files.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;
using test::bf16_tensor;
using test::bytes_of;
using test::FileTensor;

// Opens the folder and, if that succeeds, reads the FP8 linear "a" of 130 x 4; DIR stands for the
// folder in what comes back.
std::string refusal(const test::TempFolder& folder) {
  const auto outcome = [&]() -> Status {
    Result<Checkpoint> checkpoint = Checkpoint::open(folder.path());
    if (!checkpoint) return checkpoint.error();
    Result<LinearView> view = checkpoint->linear("a", 130, 4);
    return view ? Status() : Status(view.error());
  }();
  if (outcome.ok()) return "accepted";
  std::string message = outcome.error().message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
  for (size_t at; (at = message.find(folder.path().native())) != std::string::npos;) {
    message.replace(at, folder.path().native().size(), "DIR");
  }
  return message;
}

std::vector<FileTensor> good_tensors() {
  return {{"a.weight", "F8_E4M3", {130, 4}, std::string(520, '\x38')},
          {"a.weight_scale_inv", "F32", {2, 1}, bytes_of({0.5F, 0.25F})}};
}

std::string refusal_with(const std::function<void(std::vector<FileTensor>&)>& change) {
  const test::TempFolder folder;
  std::vector<FileTensor> tensors = good_tensors();
  change(tensors);
  test::write_model(folder, tensors);
  return refusal(folder);
}

TEST(MalformedCheckpoint, TheUnbrokenOneIsAccepted) {
  EXPECT_EQ(refusal_with([](auto&) {}), "accepted");
}

TEST(MalformedCheckpoint, ExtraTensorsAreAccepted) {
  EXPECT_EQ(refusal_with([](auto& t) { t.push_back(bf16_tensor("extra", {3})); }), "accepted");
}

TEST(MalformedCheckpoint, MissingFolderAndFiles) {
  const test::TempFolder folder;
  EXPECT_EQ(refusal(folder), "cannot open DIR/config.json: No such file or directory");
  folder.write("config.json", test::tiny_r1_config().dump());
  EXPECT_EQ(refusal(folder),
            "DIR holds neither model.safetensors.index.json nor model.safetensors");
}

TEST(MalformedCheckpoint, WrongArchitecture) {
  const test::TempFolder folder;
  test::write_model(folder, good_tensors());
  nlohmann::json config = test::tiny_r1_config();
  config["model_type"] = "llama";
  folder.write("config.json", config.dump());
  EXPECT_EQ(refusal(folder), "DIR/config.json: model_type is \"llama\", wanted \"deepseek_v3\"");
  folder.write("config.json", "{\"model_type\"");
  EXPECT_EQ(refusal(folder), "DIR/config.json holds invalid JSON at byte 14");
}

TEST(MalformedCheckpoint, OversizedConfig) {
  const test::TempFolder folder;
  test::write_model(folder, good_tensors());
  const std::string config = test::tiny_r1_config().dump();
  folder.write("config.json", config + std::string((1u << 20) - config.size(), ' '));
  EXPECT_EQ(refusal(folder), "accepted");
  folder.write("config.json", config + std::string((1u << 20) + 1 - config.size(), ' '));
  EXPECT_EQ(refusal(folder), "DIR/config.json has 1048577 bytes, wanted at most 1048576");
}

TEST(MalformedCheckpoint, MissingTensorOrScale) {
  EXPECT_EQ(refusal_with([](auto& t) { t.erase(t.begin()); }),
            "DIR: tensor a.weight is missing, wanted BF16 [130, 4]");
  EXPECT_EQ(refusal_with([](auto& t) { t.pop_back(); }),
            "DIR: tensor a.weight_scale_inv is missing, wanted F32 [2, 1]");
}

TEST(MalformedCheckpoint, WrongTypeOrShape) {
  EXPECT_EQ(refusal_with([](auto& t) {
              t[0].shape = {4, 130};
            }),
            "DIR/model.safetensors: tensor a.weight is F8_E4M3 [4, 130], wanted F8_E4M3 [130, 4]");
  EXPECT_EQ(refusal_with([](auto& t) { t[0].dtype = "I8"; }),
            "DIR/model.safetensors: tensor a.weight is I8 [130, 4], wanted BF16 [130, 4]");
  EXPECT_EQ(refusal_with([](auto& t) {
              t[1] = {"a.weight_scale_inv", "F32", {1, 1}, bytes_of({1})};
            }),
            "DIR/model.safetensors: tensor a.weight_scale_inv is F32 [1, 1], wanted F32 [2, 1]");
}

TEST(MalformedCheckpoint, ScalesThatAreNoScales) {
  const auto with_scale = [](float value) {
    return refusal_with([=](auto& t) { t[1].data = bytes_of({0.5F, value}); });
  };
  const std::string where = "DIR/model.safetensors: tensor a.weight_scale_inv: element 1 is ";
  EXPECT_EQ(with_scale(NAN), where + "nan, wanted a finite scale of 0 or more");
  EXPECT_EQ(with_scale(INFINITY), where + "inf, wanted a finite scale of 0 or more");
  EXPECT_EQ(with_scale(-1.0F), where + "-1, wanted a finite scale of 0 or more");
  EXPECT_EQ(with_scale(0.0F), "accepted");
}

TEST(MalformedCheckpoint, TruncatedShard) {
  const test::TempFolder folder;
  test::write_model(folder, good_tensors());
  const std::string whole = test::safetensors_file(good_tensors());
  for (size_t percent = 0; percent < 100; ++percent) {
    folder.write("model.safetensors", whole.substr(0, whole.size() * percent / 100));
    const std::string message = refusal(folder);
    EXPECT_TRUE(message.starts_with("DIR/model.safetensors: ")) << percent << ": " << message;
  }
  folder.write("model.safetensors", whole.substr(0, whole.size() - 1));
  EXPECT_EQ(refusal(folder),
            "DIR/model.safetensors: 527 bytes after the header, wanted 528 (truncated file)");
}

TEST(MalformedCheckpoint, ShardIsNoFile) {
  const test::TempFolder folder;
  folder.write("config.json", test::tiny_r1_config().dump());
  fs::create_directory(folder.path() / "model.safetensors");
  EXPECT_EQ(refusal(folder), "DIR/model.safetensors is not a regular file");
}

// Two shards: a.weight in one, its scale in the other.
void write_two_shards(const test::TempFolder& folder, const std::string& first,
                      const std::string& second) {
  const std::vector<FileTensor> t = good_tensors();
  folder.write("config.json", test::tiny_r1_config().dump());
  folder.write(first, test::safetensors_file({t[0]}));
  folder.write(second, test::safetensors_file({t[1]}));
}

constexpr const char* kIndex =
    R"({"weight_map":{"a.weight":"1.safetensors","a.weight_scale_inv":"2.safetensors"}})";

TEST(MalformedCheckpoint, SwappedShards) {
  const test::TempFolder folder;
  folder.write("model.safetensors.index.json", kIndex);
  write_two_shards(folder, "1.safetensors", "2.safetensors");
  EXPECT_EQ(refusal(folder), "accepted");
  write_two_shards(folder, "2.safetensors", "1.safetensors");
  EXPECT_EQ(
      refusal(folder),
      "DIR: tensor a.weight is in 2.safetensors, wanted it in 1.safetensors as the index says");
}

TEST(MalformedCheckpoint, MissingShard) {
  const test::TempFolder folder;
  folder.write("model.safetensors.index.json", kIndex);
  write_two_shards(folder, "1.safetensors", "2.safetensors");
  fs::remove(folder.path() / "2.safetensors");
  EXPECT_EQ(refusal(folder), "shard DIR/2.safetensors: No such file or directory");
}

TEST(MalformedCheckpoint, IndexNamesATensorThatNoShardHas) {
  const test::TempFolder folder;
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a.weight":"1.safetensors","gone":"2.safetensors"}})");
  write_two_shards(folder, "1.safetensors", "2.safetensors");
  EXPECT_EQ(refusal(folder),
            "DIR: tensor gone is in no shard, wanted it in 2.safetensors as the index says");
}

// Exporters forget to list scales; the shards' headers decide what exists.
TEST(MalformedCheckpoint, IndexWithoutScaleNamesIsAccepted) {
  const test::TempFolder folder;
  std::vector<FileTensor> tensors = good_tensors();
  tensors.push_back(bf16_tensor("b", {1}));
  folder.write("config.json", test::tiny_r1_config().dump());
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a.weight":"1.safetensors","b":"1.safetensors"}})");
  folder.write("1.safetensors", test::safetensors_file(tensors));
  EXPECT_EQ(refusal(folder), "accepted");
}

TEST(MalformedCheckpoint, TensorInTwoShards) {
  const test::TempFolder folder;
  folder.write("model.safetensors.index.json", kIndex);
  write_two_shards(folder, "1.safetensors", "2.safetensors");
  folder.write("2.safetensors", test::safetensors_file(good_tensors()));
  EXPECT_EQ(refusal(folder),
            "DIR/2.safetensors: tensor a.weight is also in DIR/1.safetensors, wanted it once");
}

TEST(MalformedCheckpoint, FileChangesWhileLoading) {
  const test::TempFolder folder;
  test::write_model(folder, good_tensors());
  const Checkpoint checkpoint = Checkpoint::open(folder.path()).value();
  EXPECT_TRUE(checkpoint.check_unchanged().ok());
  std::vector<FileTensor> more = good_tensors();
  more.push_back(bf16_tensor("b", {1}));
  folder.write("model.safetensors", test::safetensors_file(more));
  EXPECT_FALSE(checkpoint.check_unchanged().ok());
  fs::remove(folder.path() / "model.safetensors");
  EXPECT_FALSE(checkpoint.check_unchanged().ok());
}

}  // namespace
}  // namespace hadal
