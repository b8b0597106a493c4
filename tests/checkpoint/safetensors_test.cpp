#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include "support/checkpoint_files.h"

namespace hadal::checkpoint {
namespace {

using test::safetensors_file;

Result<std::vector<TensorEntry>> parse(const std::string& file) {
  return parse_safetensors_header(std::as_bytes(std::span(file)), "f");
}

std::string refusal(const std::string& file) {
  const Result<std::vector<TensorEntry>> entries = parse(file);
  return entries.ok() ? "accepted" : entries.error().message;
}

// A header of one tensor "a", whose value is `entry`, over `data_bytes` bytes.
std::string refusal_of_entry(const std::string& entry, size_t data_bytes) {
  return refusal(safetensors_file("{\"a\":" + entry + "}", std::string(data_bytes, 'x')));
}

TEST(Safetensors, ReadsEntriesInFileOrder) {
  // The header lists them in another order than they lie in the file, and is padded.
  const std::string file =
      safetensors_file(R"({"__metadata__":{"format":"pt"},)"
                       R"("b":{"dtype":"F32","shape":[],"data_offsets":[6,10]},)"
                       R"("a":{"dtype":"BF16","shape":[1,3],"data_offsets":[0,6]}}  )",
                       std::string(10, 'x'));
  const Result<std::vector<TensorEntry>> entries = parse(file);
  ASSERT_TRUE(entries.ok()) << entries.error().message;
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ((*entries)[0].name, "a");
  EXPECT_EQ((*entries)[0].type, StoredType::kBf16);
  EXPECT_EQ((*entries)[0].shape, (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ((*entries)[0].begin, file.size() - 10);
  EXPECT_EQ((*entries)[1].name, "b");
  EXPECT_TRUE((*entries)[1].shape.empty());
  EXPECT_EQ((*entries)[1].end, file.size());
}

TEST(Safetensors, AcceptsEmptyFilesAndTensors) {
  EXPECT_EQ(refusal(safetensors_file("{}", "")), "accepted");
  EXPECT_EQ(refusal_of_entry(R"({"dtype":"F32","shape":[0,9],"data_offsets":[0,0]})", 0),
            "accepted");
  // The other dimension would overflow, but nothing times zero is nothing.
  EXPECT_EQ(refusal_of_entry(
                R"({"dtype":"F32","shape":[18446744073709551615,2,0],"data_offsets":[0,0]})", 0),
            "accepted");
}

TEST(Safetensors, RefusesBadLengthWords) {
  const auto with_length = [](uint64_t length) {
    std::string file = safetensors_file("{}", "");
    std::memcpy(file.data(), &length, sizeof length);
    return refusal(file);
  };
  EXPECT_EQ(refusal(""), "f: 0 bytes, wanted at least the 8 of the header length");
  EXPECT_EQ(refusal("1234567"), "f: 7 bytes, wanted at least the 8 of the header length");
  EXPECT_EQ(with_length(0), "f: the header does not begin with '{'");
  EXPECT_EQ(with_length(2), "accepted");
  EXPECT_EQ(with_length(3), "f: header length 3, wanted at most the 2 bytes that follow");
  EXPECT_EQ(with_length(100'000'000),
            "f: header length 100000000, wanted at most the 2 bytes that follow");
  EXPECT_EQ(with_length(100'000'001), "f: header length 100000001, wanted at most 100000000");
  EXPECT_EQ(with_length(uint64_t{1} << 63),
            "f: header length 9223372036854775808, wanted at most 100000000");
}

TEST(Safetensors, RefusesBadJson) {
  EXPECT_EQ(refusal(safetensors_file(" {}", "")), "f: the header does not begin with '{'");
  EXPECT_EQ(refusal(safetensors_file("[]", "")), "f: the header does not begin with '{'");
  EXPECT_EQ(refusal(safetensors_file("{\"\xc3(\":1}", "")),
            "f: the header holds invalid JSON at byte 4");
  EXPECT_EQ(refusal(safetensors_file(R"({"a":)" + std::string(1000, '['), "")),
            "f: the header holds more than 32 levels of nesting");
  const std::string entry = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_EQ(refusal(safetensors_file("{\"a\":" + entry + ",\"a\":" + entry + "}", "x")),
            "f: the header holds the key 'a' twice in one object");
}

TEST(Safetensors, RefusesOddEntries) {
  EXPECT_EQ(refusal_of_entry("7", 0),
            "f: tensor a: 7, wanted exactly dtype, shape and data_offsets");
  EXPECT_EQ(refusal_of_entry(R"({"dtype":"U8","shape":[1]})", 1),
            "f: tensor a: {\"dtype\":\"U8\",\"shape\":[1]}, wanted exactly dtype, shape and "
            "data_offsets");
  EXPECT_EQ(refusal_of_entry(R"({"dtype":"F7","shape":[1],"data_offsets":[0,1]})", 1),
            "f: tensor a: dtype is \"F7\", wanted a safetensors type such as BF16");
  EXPECT_EQ(refusal_of_entry(R"({"dtype":1,"shape":[1],"data_offsets":[0,1]})", 1),
            "f: tensor a: dtype is 1, wanted a safetensors type such as BF16");
  EXPECT_EQ(refusal_of_entry(R"({"dtype":"U8","shape":[-1],"data_offsets":[0,1]})", 1),
            "f: tensor a: shape is [-1], wanted whole numbers");
  EXPECT_EQ(refusal_of_entry(R"({"dtype":"U8","shape":[1.0],"data_offsets":[0,1]})", 1),
            "f: tensor a: shape is [1.0], wanted whole numbers");
  EXPECT_EQ(refusal_of_entry(R"({"dtype":"U8","shape":"1","data_offsets":[0,1]})", 1),
            "f: tensor a: shape is \"1\", wanted a list of at most 8 numbers");
  EXPECT_EQ(refusal_of_entry(R"({"dtype":"U8","shape":[1,1,1,1,1,1,1,1],"data_offsets":[0,1]})", 1),
            "accepted");
  EXPECT_EQ(
      refusal_of_entry(R"({"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]})", 1),
      "f: tensor a: shape is [1,1,1,1,1,1,1,1,1], wanted a list of at most 8 numbers");
  EXPECT_EQ(refusal_of_entry(R"({"dtype":"U8","shape":[1],"data_offsets":[1,0]})", 1),
            "f: tensor a: data_offsets is [1,0], wanted [begin, end] with begin <= end");
  EXPECT_EQ(refusal_of_entry(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1,2]})", 1),
            "f: tensor a: data_offsets is [0,1,2], wanted [begin, end] with begin <= end");
}

TEST(Safetensors, RefusesSizesThatDisagree) {
  EXPECT_EQ(refusal_of_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,7]})", 7),
            "f: tensor a: 7 bytes of data, wanted 8 for F32 [2]");
  // 2^33 * 2^31 elements of 4 bytes: 2^66 bytes, which would wrap to 0.
  EXPECT_EQ(refusal_of_entry(
                R"({"dtype":"F32","shape":[8589934592,2147483648],"data_offsets":[0,0]})", 0),
            "f: tensor a: shape [8589934592,2147483648] of F32 overflows 64 bits");
}

TEST(Safetensors, RefusesHolesOverlapsAndTruncation) {
  const auto two = [](const char* first, const char* second, size_t data_bytes) {
    const std::string header = std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") +
                               first + R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" +
                               second + "}}";
    return refusal(safetensors_file(header, std::string(data_bytes, 'x')));
  };
  EXPECT_EQ(two("[0,4]", "[4,8]", 8), "accepted");
  EXPECT_EQ(two("[4,8]", "[0,4]", 8), "accepted");
  EXPECT_EQ(two("[0,4]", "[5,9]", 9), "f: tensor b: data begins at 5, wanted 4 (a hole)");
  EXPECT_EQ(two("[0,4]", "[3,7]", 8), "f: tensor b: data begins at 3, wanted 4 (tensors overlap)");
  EXPECT_EQ(two("[0,4]", "[0,4]", 4), "f: tensor b: data begins at 0, wanted 4 (tensors overlap)");
  EXPECT_EQ(two("[1,5]", "[5,9]", 9), "f: tensor a: data begins at 1, wanted 0 (a hole)");
  EXPECT_EQ(two("[0,4]", "[4,8]", 7), "f: 7 bytes after the header, wanted 8 (truncated file)");
  EXPECT_EQ(two("[0,4]", "[4,8]", 9), "f: 9 bytes after the header, wanted 8 (trailing data)");
}

TEST(Safetensors, RefusesOddMetadata) {
  EXPECT_EQ(refusal(safetensors_file(R"({"__metadata__":{"format":"pt"}})", "")), "accepted");
  EXPECT_EQ(refusal(safetensors_file(R"({"__metadata__":{}})", "")), "accepted");
  EXPECT_EQ(refusal(safetensors_file(R"({"__metadata__":7})", "")),
            "f: __metadata__ is 7, wanted an object");
  EXPECT_EQ(refusal(safetensors_file(R"({"__metadata__":{"a":1}})", "")),
            "f: __metadata__ a is 1, wanted a string");
}

}  // namespace
}  // namespace hadal::checkpoint
