// MLA decode, generic and sm90, against the double-precision twin; the plan against its invariants.
#include <gtest/gtest.h>

#include "kernels/mla/mla_fixture.h"

namespace hadal::test {
namespace {

constexpr KvFormat kFormats[] = {KvFormat::kFp8, KvFormat::kBf16};
constexpr Kernel kKernels[] = {Kernel::kGeneric, Kernel::kSm90};

std::string name_of(KvFormat format, Kernel kernel) {
  return std::string(format == KvFormat::kFp8 ? "fp8" : "bf16") +
         (kernel == Kernel::kGeneric ? " generic" : " sm90");
}

std::vector<RowShape> rows_of(const std::vector<int>& contexts, int tokens) {
  std::vector<RowShape> rows;
  for (const int context : contexts) rows.push_back({context, std::min(tokens, context)});
  return rows;
}

class Mla : public testing::Test {
 protected:
  device::Stream stream_ = must(device::Stream::create());

  // Both kernels and both formats, with and without a fixed split.
  void check(MlaCase shape) {
    for (const KvFormat format : kFormats) {
      shape.format = format;
      const MlaData data = make_data(shape, test_seed());
      for (const Kernel kernel : kKernels) {
        for (const int split_pages : {0, 2}) {
          SCOPED_TRACE(name_of(format, kernel) + " split " + std::to_string(split_pages));
          expect_matches_twin(data, run_mla(data, {kernel, split_pages}, stream_.view()));
        }
      }
    }
  }
};

TEST_F(Mla, ContextsAroundPageEdges) {
  check({.rows = rows_of({1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 191, 193}, 1)});
}

TEST_F(Mla, SanitizerSelection) {
  check({.rows = {{65, 2}, {1, 1}, {130, 2}, {40, 2, true}}, .heads = 16, .queries_max = 2});
}

TEST_F(Mla, EveryNumberOfQueryTokens) {
  for (int queries = 1; queries <= mla::kQueriesMax; ++queries) {
    SCOPED_TRACE(queries);
    check({.rows = rows_of({8, 64, 66, 200}, queries), .queries_max = queries});
  }
}

TEST_F(Mla, HeadsOfTheWholeModel) {
  check({.rows = rows_of({63, 130}, 1), .heads = 128, .queries_max = 1});
  check({.rows = rows_of({70}, 8), .heads = 128, .queries_max = 8});
}

TEST_F(Mla, HeadsThatDoNotFillATile) {
  for (const int heads : {1, 4, 24}) {
    SCOPED_TRACE(heads);
    check({.rows = rows_of({5, 64, 100}, 3), .heads = heads, .queries_max = 3});
  }
}

TEST_F(Mla, LongContext) {
  check({.rows = rows_of({8191, 100}, 2), .heads = 4, .queries_max = 2});
}

TEST_F(Mla, RowsOfDifferentTokenCountsAndInertRows) {
  check({.rows = {{10, 1}, {300, 4}, {64, 0}, {70, 3, true}, {65, 2}}, .queries_max = 4});
}

TEST_F(Mla, ManyRowsOnFewParts) {
  std::vector<RowShape> rows;
  for (int i = 0; i < 65; ++i) rows.push_back({1 + i * 37 % 300, 1});
  const MlaData data = make_data({.rows = rows, .heads = 2}, test_seed());
  for (const Kernel kernel : kKernels) {
    for (const int parts : {1, 2, 7}) {
      SCOPED_TRACE(parts);
      expect_matches_twin(data, run_mla(data, {kernel, 0, parts}, stream_.view()));
    }
  }
}

TEST_F(Mla, NoRowsIsNoWork) {
  const MlaData data = make_data({}, test_seed());
  EXPECT_TRUE(run_mla(data, {Kernel::kGeneric}, stream_.view()).empty());
  EXPECT_TRUE(run_mla(data, {Kernel::kSm90}, stream_.view()).empty());
}

TEST_F(Mla, SameInputGivesTheSameBits) {
  for (const KvFormat format : kFormats) {
    const MlaData data = make_data({rows_of({1000, 65, 3000, 1}, 2), 16, 2, format}, test_seed());
    for (const Kernel kernel : kKernels) {
      const auto first = run_mla(data, {kernel}, stream_.view());
      EXPECT_TRUE(same_bits(first, run_mla(data, {kernel}, stream_.view())))
          << name_of(format, kernel);
    }
  }
}

// Row 0 of `data`, as `tokens` tokens of which the first `keep` are asked for.
MlaData first_row_alone(const MlaData& data, int keep) {
  MlaData alone = data;
  alone.shape.rows = {data.shape.rows[0]};
  alone.shape.queries_max = keep;
  alone.row_starts = {0, keep};
  alone.positions.resize(static_cast<std::size_t>(keep));
  alone.slots.resize(static_cast<std::size_t>(keep));
  alone.q.resize(static_cast<std::size_t>(keep * data.shape.heads * kernels::kLatentRope));
  return alone;
}

// The fixed split: a token's bits depend neither on the other rows, nor on the tokens behind it in
// its row (hence not on the number of drafts), nor on the grid. With 1,026 entries the last token
// alone sees the last split, with 66 the last two alone see the last page.
TEST_F(Mla, FixedSplitBitsDependOnTheTokenAlone) {
  for (const KvFormat format : kFormats) {
    for (const int context : {1026, 66}) {
      const MlaData data =
          make_data({{{context, 4}, {700, 4}, {64, 4}, {2000, 4}}, 16, 4, format}, test_seed());
      for (const Kernel kernel : kKernels) {
        const auto batch = run_mla(data, {kernel, 4}, stream_.view());
        for (const int keep : {1, 2, 3}) {
          const MlaData alone = first_row_alone(data, keep);
          const auto wanted = std::vector<__nv_bfloat16>(
              batch.begin(), batch.begin() + keep * data.shape.heads * kernels::kLatent);
          for (const int parts : {1, 5, 264}) {
            SCOPED_TRACE(name_of(format, kernel) + " context " + std::to_string(context) +
                         " keep " + std::to_string(keep));
            EXPECT_TRUE(same_bits(run_mla(alone, {kernel, 4, parts}, stream_.view()), wanted));
          }
        }
      }
    }
  }
}

TEST_F(Mla, RefusesShapesItDoesNotHave) {
  mla::DecodeParams p;
  p.heads = 16;
  p.queries_max = mla::kQueriesMax + 1;
  p.parts = 1;
  EXPECT_EQ(mla::launch_decode_sm90(p, kernels::LaunchOrder::kSerial, nullptr),
            cudaErrorInvalidValue);
  p.queries_max = mla::kQueriesMax;
  EXPECT_EQ(mla::launch_decode_sm90(p, kernels::LaunchOrder::kSerial, nullptr), cudaSuccess);
  p.rows = mla::kRowsMax + 1;
  EXPECT_EQ(mla::launch_decode_generic(p, nullptr), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hadal::test
