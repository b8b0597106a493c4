#include "checkpoint/shard_files.h"

#include <gtest/gtest.h>

#include "support/checkpoint_files.h"

namespace hadal::checkpoint {
namespace {

namespace fs = std::filesystem;

std::string refusal(const fs::path& folder) {
  const Result<ShardFiles> files = find_shard_files(folder);
  if (files.ok()) return "accepted";
  std::string message = files.error().message;
  const size_t at = message.find(folder.native());
  return at == std::string::npos ? message : message.replace(at, folder.native().size(), "DIR");
}

void write_index(const test::TempFolder& folder, const std::string& shard) {
  folder.write(
      "model.safetensors.index.json",
      nlohmann::json{{"metadata", nlohmann::json::object()}, {"weight_map", {{"t", shard}}}}
          .dump());
}

TEST(ShardFiles, TakesDistinctNamesFromTheIndex) {
  const test::TempFolder folder;
  folder.write("a.safetensors", "");
  folder.write("b.safetensors", "");
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"x":"b.safetensors","y":"a.safetensors","z":"b.safetensors"}})");
  const Result<ShardFiles> files = find_shard_files(folder.path());
  ASSERT_TRUE(files.ok()) << files.error().message;
  EXPECT_EQ(files->names, (std::vector<std::string>{"a.safetensors", "b.safetensors"}));
  EXPECT_EQ(files->index.at("x"), "b.safetensors");
}

TEST(ShardFiles, TakesTheSingleFileWithoutIndex) {
  const test::TempFolder folder;
  EXPECT_EQ(refusal(folder.path()),
            "DIR holds neither model.safetensors.index.json nor model.safetensors");
  folder.write("model.safetensors", "");
  EXPECT_EQ(find_shard_files(folder.path()).value().names,
            (std::vector<std::string>{"model.safetensors"}));
}

TEST(ShardFiles, RefusesNamesThatAreNoPlainFileNames) {
  const test::TempFolder folder;
  const auto refusal_of = [&](const std::string& shard) {
    write_index(folder, shard);
    return refusal(folder.path());
  };
  const auto message = [](const std::string& shown_name) {
    return "model.safetensors.index.json: shard name '" + shown_name +
           "', wanted a plain file name ending in .safetensors";
  };
  EXPECT_EQ(refusal_of("../a.safetensors"), message("../a.safetensors"));
  EXPECT_EQ(refusal_of("/etc/a.safetensors"), message("/etc/a.safetensors"));
  EXPECT_EQ(refusal_of("sub/a.safetensors"), message("sub/a.safetensors"));
  EXPECT_EQ(refusal_of(""), message(""));
  EXPECT_EQ(refusal_of(".safetensors"), message(".safetensors"));
  EXPECT_EQ(refusal_of("config.json"), message("config.json"));
  EXPECT_EQ(refusal_of(std::string("a\0.safetensors", 14)), message("a\\u0000.safetensors"));
}

TEST(ShardFiles, RefusesBadIndexes) {
  const test::TempFolder folder;
  const auto refusal_of = [&](const std::string& text) {
    folder.write("model.safetensors.index.json", text);
    return refusal(folder.path());
  };
  const std::string no_map =
      "model.safetensors.index.json: no weight_map, wanted an object of tensor name: shard name";
  EXPECT_EQ(refusal_of("[]"), no_map);
  EXPECT_EQ(refusal_of("{}"), no_map);
  EXPECT_EQ(refusal_of(R"({"weight_map":[]})"), no_map);
  EXPECT_EQ(refusal_of(R"({"weight_map":{}})"), no_map);
  EXPECT_EQ(refusal_of(R"({"weight_map":{"t":1}})"),
            "model.safetensors.index.json: shard of tensor t is 1, wanted a file name");
  EXPECT_EQ(refusal_of("{"), "model.safetensors.index.json holds invalid JSON at byte 2");
  EXPECT_EQ(refusal_of(R"({"weight_map":{"t":"gone.safetensors"}})"),
            "shard DIR/gone.safetensors: No such file or directory");
}

TEST(ShardFiles, FollowsLinksOnlyInsideTheFolder) {
  const test::TempFolder folder;
  const test::TempFolder elsewhere;
  elsewhere.write("a.safetensors", "");
  folder.write("real.safetensors", "");
  fs::create_symlink("real.safetensors", folder.path() / "inside.safetensors");
  fs::create_symlink(elsewhere.path() / "a.safetensors", folder.path() / "outside.safetensors");
  fs::create_symlink("loop.safetensors", folder.path() / "loop.safetensors");
  write_index(folder, "inside.safetensors");
  EXPECT_EQ(refusal(folder.path()), "accepted");
  write_index(folder, "outside.safetensors");
  EXPECT_EQ(refusal(folder.path()), "shard DIR/outside.safetensors leads to " +
                                        fs::canonical(elsewhere.path() / "a.safetensors").native() +
                                        ", wanted a file in its folder");
  write_index(folder, "loop.safetensors");
  EXPECT_EQ(refusal(folder.path()),
            "shard DIR/loop.safetensors: Too many levels of symbolic links");
}

// <model>/snapshots/<revision>/model.safetensors -> ../../blobs/<hash>
TEST(ShardFiles, FollowsTheLinksOfAHuggingFaceCache) {
  const test::TempFolder model;
  const fs::path snapshot = model.path() / "snapshots" / "revision";
  fs::create_directories(snapshot);
  fs::create_directories(model.path() / "blobs");
  fs::create_directories(model.path() / "other");
  model.write("blobs/hash", "");
  model.write("other/hash", "");
  fs::create_symlink("../../blobs/hash", snapshot / "model.safetensors");
  EXPECT_EQ(refusal(snapshot), "accepted");
  fs::remove(snapshot / "model.safetensors");
  fs::create_symlink("../../other/hash", snapshot / "model.safetensors");
  EXPECT_NE(refusal(snapshot), "accepted");
}

}  // namespace
}  // namespace hadal::checkpoint
