#include "kernels/mla/mla.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "reference/kernels/mla.h"
#include "support/gpu.h"

namespace hadal::kernels::mla {
namespace {

using test::DeviceArray;
using test::must;
using test::to_double;

std::size_t index(int i) {
  return static_cast<std::size_t>(i);
}

enum class Which { kSm90, kGeneric };

// A batch of sequences with random queries and a random paged cache. Pages lie in random order;
// pages of nobody, and the tokens of a last page past its context, are NaN.
class Batch {
 public:
  Batch(std::vector<int> contexts, int query_tokens, int heads, KvFormat format, unsigned salt = 0)
      : contexts_(std::move(contexts)),
        query_tokens_(query_tokens),
        heads_(heads),
        format_(format),
        random_(test::test_seed() + salt),
        stream_(must(device::Stream::create())),
        kept_(contexts_.size()) {
    make_cache();
    make_queries();
  }

  int rows() const { return query_tokens_ * heads_; }
  // Later runs see the first `count` sequences only.
  void keep_first(std::size_t count) { kept_ = count; }
  std::vector<__nv_bfloat16> run(Which which, int split_pages) {
    const int sequences = static_cast<int>(kept_);
    const int blocks = test::multiprocessors();
    const int longest = *std::max_element(contexts_.begin(), contexts_.end());
    const std::size_t slots = slots_max(sequences, rows(), format_, split_pages, longest, blocks);
    const int tile = row_tile_for(rows(), format_);
    const DeviceArray<int> before(contexts_.size() + 1, view());
    const DeviceArray<float> partial_out(slots * index(tile * kLatent), view());
    const DeviceArray<float2> partial_stats(slots * index(tile), view());
    const DeviceArray<__nv_bfloat16> out(kept_ * index(rows() * kLatent), view());
    must(launch_plan({context_d_.get(), sequences, split_pages, before.get()}, LaunchOrder::kSerial,
                     view().handle));
    Params p;
    p.q_latent = q_latent_d_.get();
    p.q_rope = q_rope_d_.get();
    p.cache = cache_d_.get();
    p.format = format_;
    p.page_table = table_d_.get();
    p.page_table_stride = table_stride_;
    p.context = context_d_.get();
    p.grains_before = before.get();
    p.sequences = sequences;
    p.query_tokens = query_tokens_;
    p.heads = heads_;
    p.scale = kScale;
    p.split_pages = split_pages;
    p.blocks = blocks;
    p.partial_out = partial_out.get();
    p.partial_stats = partial_stats.get();
    p.out = out.get();
    if (which == Which::kSm90) {
      must(launch_sm90(p, LaunchOrder::kSerial, view().handle));
    } else {
      must(launch_generic(p, view().handle));
    }
    return out.read(view());
  }

  // Every `step`th row of each sequence.
  void expect_right(const std::vector<__nv_bfloat16>& out, int step) const {
    // Probabilities are rounded to half (FP8) or bf16 before they meet the values; the result is
    // bf16.
    const double probability_rounding = format_ == KvFormat::kFp8 ? 1.0 / 1024 : 1.0 / 256;
    test::Comparison comparison;
    for (std::size_t s = 0; s < contexts_.size(); ++s) {
      for (int row = static_cast<int>(s) % step; row < rows(); row += step) {
        const std::size_t at = s * index(rows()) + index(row);
        if (contexts_[s] == 0) {
          EXPECT_TRUE(std::isnan(to_double(out[at * kLatent])))
              << "an inactive sequence was written";
          continue;
        }
        const int visible = contexts_[s] - query_tokens_ + 1 + row / heads_;
        const auto wanted =
            reference::attend(std::span(q_latent_).subspan(at * kLatent, kLatent),
                              std::span(q_rope_).subspan(at * kRope, kRope), latent_[s], key_[s],
                              visible, static_cast<double>(kScale));
        for (int i = 0; i < kLatent; ++i) {
          comparison.add(to_double(out[at * kLatent + index(i)]), wanted.value[index(i)],
                         std::fabs(wanted.value[index(i)]) / 256 +
                             wanted.magnitude[index(i)] * probability_rounding);
        }
      }
    }
    comparison.expect_close(5e-3);
  }

 private:
  static constexpr float kScale = 0.05f;
  device::StreamView view() const { return stream_.view(); }

  void make_cache() {
    std::vector<int> ids;
    int pages = 3;
    for (const int context : contexts_) {
      pages += ceil_div(context, kPageTokens);
      table_stride_ = std::max(table_stride_, ceil_div(context, kPageTokens) + 1);
    }
    ids.resize(index(pages));
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), random_);
    std::vector<std::uint8_t> cache(index(pages) * index(kv_page_bytes(format_)), 0xff);
    std::vector<int> table(contexts_.size() * index(table_stride_), -1);
    std::size_t next = 0;
    for (std::size_t s = 0; s < contexts_.size(); ++s) {
      latent_.emplace_back();
      key_.emplace_back();
      for (int t = 0; t < contexts_[s]; ++t) {
        if (t % kPageTokens == 0)
          table[s * index(table_stride_) + index(t / kPageTokens)] = ids[next++];
        const int page = table[s * index(table_stride_) + index(t / kPageTokens)];
        const int row = t % kPageTokens;
        write_token(&cache[index(page) * index(kv_page_bytes(format_)) +
                           index(row * kv_token_bytes(format_))],
                    row, s);
      }
    }
    cache_d_ = {cache, view()};
    table_d_ = {table, view()};
    context_d_ = {contexts_, view()};
  }

  void write_token(std::uint8_t* at, int row, std::size_t sequence) {
    std::normal_distribution<float> normal(0.0f, 1.0f);
    const auto put_bf16 = [&](int offset, float x) {
      const __nv_bfloat16 value = __float2bfloat16(x);
      std::memcpy(at + offset, &value, 2);
      return to_double(value);
    };
    // Scales differ between tokens by an order of magnitude: forgetting one shows.
    const float scale = 0.004f * std::exp2(std::clamp(1.5f * normal(random_), -3.0f, 3.0f));
    if (format_ == KvFormat::kFp8) {
      for (int i = 0; i < kLatent; ++i) {
        at[i] = reference::float_to_fp8(120.0f * normal(random_));
        latent_[sequence].push_back(static_cast<double>(reference::fp8_to_float(at[i])) *
                                    static_cast<double>(scale));
      }
      std::memcpy(at + kFp8ScaleOffset, &scale, 4);
      for (int i = 0; i < kRope; ++i)
        key_[sequence].push_back(put_bf16(kFp8RopeOffset + 2 * i, normal(random_)));
    } else {
      for (int i = 0; i < kLatent; ++i)
        latent_[sequence].push_back(
            put_bf16(bf16_row_offset(row, i), 100 * scale * normal(random_)));
      for (int i = 0; i < kRope; ++i)
        key_[sequence].push_back(put_bf16(bf16_row_offset(row, kLatent + i), normal(random_)));
    }
  }

  void make_queries() {
    std::normal_distribution<float> normal(0.0f, 2.0f);
    const auto make = [&](std::vector<double>& values, DeviceArray<__nv_bfloat16>& array,
                          int width) {
      std::vector<__nv_bfloat16> data(contexts_.size() * index(rows() * width));
      for (auto& x : data) {
        x = __float2bfloat16(normal(random_));
        values.push_back(to_double(x));
      }
      array = {data, view()};
    };
    make(q_latent_, q_latent_d_, kLatent);
    make(q_rope_, q_rope_d_, kRope);
  }

  std::vector<int> contexts_;
  int query_tokens_;
  int heads_;
  KvFormat format_;
  std::mt19937 random_;
  device::Stream stream_;
  std::size_t kept_;
  int table_stride_ = 1;
  std::vector<std::vector<double>> latent_, key_;  // a sequence each
  std::vector<double> q_latent_, q_rope_;
  DeviceArray<std::uint8_t> cache_d_;
  DeviceArray<int> table_d_, context_d_;
  DeviceArray<__nv_bfloat16> q_latent_d_, q_rope_d_;
};

constexpr KvFormat kFormats[] = {KvFormat::kFp8, KvFormat::kBf16};

void check(const std::vector<int>& contexts, int query_tokens, int heads, KvFormat format,
           int step) {
  SCOPED_TRACE(testing::Message() << contexts.size() << " sequences from context " << contexts[0]
                                  << ", " << query_tokens << " query tokens, " << heads
                                  << " heads, format " << static_cast<int>(format));
  Batch batch(contexts, query_tokens, heads, format);
  batch.expect_right(batch.run(Which::kSm90, 0), step);
  batch.expect_right(batch.run(Which::kSm90, 2), step);
  batch.expect_right(batch.run(Which::kGeneric, 0), step);
}

TEST(MlaDecode, MatchesTheTwinAtTheEdgesOfContext) {
  for (const KvFormat format : kFormats) {
    for (const int context : {1, 2, 63, 64, 65, 128, 129}) check({context}, 1, 16, format, 3);
    check({8191}, 1, 16, format, 7);
  }
}

TEST(MlaDecode, MatchesTheTwinOnRaggedBatches) {
  for (const KvFormat format : kFormats) {
    check({300, 0, 1, 64, 65, 700, 0, 63}, 1, 16, format, 3);
    check(std::vector<int>(200, 130), 1, 16, format, 5);
    std::vector<int> contexts;
    for (int i = 0; i < 150; ++i) contexts.push_back(1 + i * 7 % 400);
    check(contexts, 1, 16, format, 9);
  }
}

TEST(MlaDecode, MatchesTheTwinWithSeveralQueryTokensAndHeads) {
  for (const KvFormat format : kFormats) {
    for (const int query_tokens : {2, 3, 4, 8})
      check({query_tokens, 64, 67, 200}, query_tokens, 16, format, 5);
    check({100, 257}, 1, 128, format, 11);
    check({100, 257}, 4, 128, format, 37);
    check({70, 5}, 1, 1, format, 1);
    check({70, 5}, 2, 24, format, 3);
  }
}

TEST(MlaDecode, SameInputGivesSameBits) {
  Batch batch({1500, 3, 900, 64}, 2, 16, KvFormat::kFp8);
  const auto first = batch.run(Which::kSm90, 0);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(test::same_bits(first, batch.run(Which::kSm90, 0)));
}

TEST(MlaDecode, WithAFixedSplitASequenceDoesNotDependOnTheOthers) {
  for (const KvFormat format : kFormats) {
    Batch batch({1000, 640, 1, 77, 512}, 1, 16, format);
    const auto together = batch.run(Which::kSm90, 4);
    for (const std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
      batch.keep_first(count);
      const auto fewer = batch.run(Which::kSm90, 4);
      EXPECT_EQ(0, std::memcmp(fewer.data(), together.data(), fewer.size() * sizeof(fewer[0])))
          << count;
      batch.keep_first(5);
    }
  }
}

TEST(MlaDecode, RefusesWhatItCannotDo) {
  Params p;
  p.sequences = 1;
  p.heads = 16;
  p.blocks = 1;
  p.query_tokens = kQueryTokensMax + 1;
  EXPECT_EQ(launch_sm90(p, LaunchOrder::kSerial, nullptr), cudaErrorInvalidValue);
  p.query_tokens = 1;
  p.sequences = kSequencesMax + 1;
  EXPECT_EQ(launch_sm90(p, LaunchOrder::kSerial, nullptr), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hadal::kernels::mla
