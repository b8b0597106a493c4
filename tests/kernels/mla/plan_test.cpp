// The split plan: every page of every row exactly once, in order, in shares of about equal cost.
#include <gtest/gtest.h>

#include <numeric>

#include "kernels/mla/mla_fixture.h"

namespace hadal::test {
namespace {

struct HostPlan {
  std::vector<int> part_starts;
  std::vector<mla::Segment> segments;
  std::vector<mla::SplitRow> split_rows;
};

// Rows of one token each; a context of 0 stands for an inert row.
HostPlan make_plan(const std::vector<int>& contexts, int parts, int split_pages,
                   device::StreamView stream) {
  const int rows = static_cast<int>(contexts.size());
  std::vector<int> row_starts(contexts.size() + 1);
  std::iota(row_starts.begin(), row_starts.end(), 0);
  std::vector<int> positions;
  std::vector<int> slots;
  int pages_max = 1;
  for (const int context : contexts) {
    positions.push_back(std::max(0, context - 1));
    slots.push_back(context == 0 ? -1 : 0);
    pages_max = std::max(pages_max, kernels::ceil_div(context, kernels::kPageTokens));
  }
  const DeviceArray<int> row_starts_d(row_starts, stream);
  const DeviceArray<int> positions_d(positions, stream);
  const DeviceArray<int> slots_d(slots, stream);
  const auto segments_max =
      static_cast<std::size_t>(mla::segments_max(rows, parts, split_pages, pages_max));
  // One guard element behind each list shows a write past the promised capacity.
  const DeviceArray<int> part_starts(static_cast<std::size_t>(parts) + 1, stream);
  const DeviceArray<mla::Segment> segments(segments_max + 1, stream);
  const DeviceArray<mla::SplitRow> split_rows(contexts.size() + 1, stream);
  const DeviceArray<int> split_count(1, stream);
  must(mla::launch_plan({{row_starts_d.get(), positions_d.get(), slots_d.get(), rows},
                         {part_starts.get(), segments.get(), split_rows.get(), split_count.get()},
                         parts,
                         split_pages},
                        kernels::LaunchOrder::kSerial, stream.handle));
  HostPlan plan{part_starts.read(stream), segments.read(stream), split_rows.read(stream)};
  EXPECT_EQ(plan.segments.back().token_begin, -1) << "segments_max is exceeded";
  EXPECT_EQ(plan.split_rows.back().token_begin, -1);
  plan.segments.resize(static_cast<std::size_t>(plan.part_starts.back()));
  plan.split_rows.resize(static_cast<std::size_t>(split_count.read(stream)[0]));
  return plan;
}

void expect_covers(const HostPlan& plan, const std::vector<int>& contexts, int split_pages) {
  int row = 0;
  int page = 0;
  int partials = 0;
  std::size_t split = 0;
  for (const mla::Segment& s : plan.segments) {
    ASSERT_EQ(s.token_begin, row);
    ASSERT_EQ(s.page_begin, page);
    const int row_pages =
        kernels::ceil_div(contexts[static_cast<std::size_t>(row)], kernels::kPageTokens);
    const bool whole = s.page_begin == 0 && s.page_end == row_pages;
    EXPECT_EQ(s.partial, whole ? -1 : partials);
    if (split_pages > 0 && s.page_end < row_pages) {
      EXPECT_EQ(s.page_end % split_pages, 0);
    }
    if (!whole) {
      ASSERT_LT(split, plan.split_rows.size());
      const mla::SplitRow& entry = plan.split_rows[split];
      EXPECT_EQ(entry.token_begin, row);
      EXPECT_LT(partials - entry.partial_begin, entry.partial_count);
      ++partials;
      if (s.page_end == row_pages) {
        EXPECT_EQ(entry.partial_begin + entry.partial_count, partials);
        ++split;
      }
    }
    page = s.page_end;
    if (page == row_pages) {
      ++row;
      page = 0;
    }
  }
  EXPECT_EQ(row, static_cast<int>(contexts.size()));
  EXPECT_EQ(split, plan.split_rows.size());
}

int largest_share(const HostPlan& plan) {
  int largest = 0;
  for (std::size_t part = 0; part + 1 < plan.part_starts.size(); ++part) {
    int pages = 0;
    for (int i = plan.part_starts[part]; i < plan.part_starts[part + 1]; ++i) {
      const mla::Segment& s = plan.segments[static_cast<std::size_t>(i)];
      pages += s.page_end - s.page_begin;
    }
    largest = std::max(largest, pages);
  }
  return largest;
}

class MlaPlan : public testing::Test {
 protected:
  device::Stream stream_ = must(device::Stream::create());
};

TEST_F(MlaPlan, CoversEveryPageOnce) {
  std::mt19937 random(test_seed());
  for (int round = 0; round < 60; ++round) {
    std::vector<int> contexts(1 + random() % 300);
    const unsigned context_max = round % 2 == 0 ? 200 : 20000;
    for (int& context : contexts) context = static_cast<int>(random() % context_max);
    const int parts = 1 + static_cast<int>(random() % 300);
    const int split_pages = round % 3 == 0 ? 1 + static_cast<int>(random() % 20) : 0;
    SCOPED_TRACE(testing::Message()
                 << contexts.size() << " rows, " << parts << " parts, split " << split_pages);
    expect_covers(make_plan(contexts, parts, split_pages, stream_.view()), contexts, split_pages);
  }
}

TEST_F(MlaPlan, CoversTheMostRowsItPromises) {
  const std::vector<int> contexts(mla::kRowsMax, 65);
  expect_covers(make_plan(contexts, 264, 0, stream_.view()), contexts, 0);
}

TEST_F(MlaPlan, KeepsEqualRowsWholeWhereThatBalances) {
  const std::vector<int> contexts(256, 1536);
  const HostPlan plan = make_plan(contexts, 264, 0, stream_.view());
  EXPECT_TRUE(plan.split_rows.empty());
  EXPECT_EQ(largest_share(plan), 24);
}

TEST_F(MlaPlan, SpreadsFewRowsOverManyParts) {
  const std::vector<int> contexts(4, 1536);
  EXPECT_EQ(largest_share(make_plan(contexts, 264, 0, stream_.view())), 1);
}

TEST_F(MlaPlan, SharesOfRaggedRowsAreNearlyEqual) {
  std::mt19937 random(test_seed());
  std::vector<int> contexts(256);
  int pages = 0;
  for (int& context : contexts) {
    context = 1 + static_cast<int>(random() % 16384);
    pages += kernels::ceil_div(context, kernels::kPageTokens);
  }
  const HostPlan plan = make_plan(contexts, 132, 0, stream_.view());
  // Either end of a share may have moved by 1 / 16 of it.
  EXPECT_LE(largest_share(plan), (pages + 256) / 132 * 18 / 16 + 2);
}

}  // namespace
}  // namespace hadal::test
