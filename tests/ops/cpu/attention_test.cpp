// mla_latent and mla_attention against the naive (not absorbed) form in double precision, over a
// paged cache whose unused entries are NaN.
#include <algorithm>
#include <limits>

#include "hadal/core/step_plan.h"
#include "ops/cpu/support.h"

namespace hadal::ops::test {
namespace {

// Smaller than tiny-r1 where the size does not matter; head and latent sizes are R1's shape.
ModelSpec small_spec(int heads = 3, int rope = 32) {
  ModelSpec spec{.hidden_size = 64,
                 .num_attention_heads = heads,
                 .q_lora_rank = 48,
                 .kv_lora_rank = 128,
                 .qk_nope_head_dim = 32,
                 .qk_rope_head_dim = rope,
                 .v_head_dim = 48,
                 .max_position_embeddings = 4096};
  return spec;
}

constexpr int kLayers = 2, kLayer = 1;
constexpr int kSlots = 3, kPagesPerSlot = 24;
constexpr int kPagesTotal = 1 + kSlots * kPagesPerSlot;

struct Batch {
  std::vector<int32_t> ids, positions, slots, row_starts{0};
  void add_row(int32_t slot, int32_t first, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
      ids.push_back(0);
      positions.push_back(first + i);
      slots.push_back(slot);
    }
    row_starts.push_back(static_cast<int32_t>(ids.size()));
  }
  TokenBatch view() const {
    return {.rows = static_cast<int32_t>(row_starts.size()) - 1,
            .tokens = static_cast<int32_t>(ids.size()),
            .ids = ids.data(),
            .positions = positions.data(),
            .slots = slots.data(),
            .row_starts = row_starts.data()};
  }
};

class AttentionTest : public PathTest {
 protected:
  void SetUp() override { set_up(small_spec()); }

  void set_up(const ModelSpec& spec) {
    spec_ = spec;
    ops_->prepare_rope(spec_, 8192);
    const int64_t head_rows = spec_.qk_nope_head_dim + spec_.v_head_dim;
    kv_b_ = random_matrix(random_, WeightFormat::kBf16, spec_.num_attention_heads * head_rows,
                          spec_.kv_lora_rank);
    kv_up_ = std::move(ops_->prepare_kv_up(kv_b_.view, spec_)).value();
    q_norm_values_ = random_vector(random_, static_cast<size_t>(spec_.q_lora_rank));
    kv_norm_values_ = random_vector(random_, static_cast<size_t>(spec_.kv_lora_rank));
    q_norm_ = std::move(ops_->prepare_vector(q_norm_values_.view())).value();
    kv_norm_ = std::move(ops_->prepare_vector(kv_norm_values_.view())).value();
    // All ones is a NaN.
    pages_.assign(static_cast<size_t>(kPagesTotal * kLayers * kPageTokens * spec_.kv_dim()),
                  0xFFFF);
    page_table_.resize(kSlots * kPagesPerSlot);
    for (int i = 0; i < kSlots * kPagesPerSlot; ++i) {
      page_table_[static_cast<size_t>(i)] = kPagesTotal - 1 - i;  // pages lie backwards
    }
  }

  PagedKvCache cache() {
    return {.pages = pages_.data(),
            .page_table = page_table_.data(),
            .pages_per_slot = kPagesPerSlot,
            .pages_total = kPagesTotal,
            .layers = kLayers};
  }
  const uint16_t* entry(int32_t slot, int32_t position) const {
    const int64_t page =
        page_table_[static_cast<size_t>(slot * kPagesPerSlot + position / kPageTokens)];
    return pages_.data() +
           ((page * kLayers + kLayer) * kPageTokens + position % kPageTokens) * spec_.kv_dim();
  }
  // Random latents at positions [0, count) of a slot.
  void fill_cache(int32_t slot, int32_t count) {
    Batch batch;
    batch.add_row(slot, 0, count);
    auto qkv = random_floats(random_, static_cast<size_t>(count * qkv_width()));
    write_latents(batch, qkv);
  }
  int64_t qkv_width() const { return spec_.q_lora_rank + spec_.kv_dim(); }
  std::vector<float> write_latents(const Batch& batch, std::vector<float>& qkv) {
    const auto tokens = static_cast<int64_t>(batch.ids.size());
    std::vector<float> q(static_cast<size_t>(tokens * spec_.q_lora_rank));
    ops_->mla_latent(*context_, view_of(q, tokens, spec_.q_lora_rank),
                     view_of(qkv, tokens, qkv_width()), batch.view(), cache(), kLayer, q_norm_,
                     kv_norm_, spec_);
    return q;
  }
  std::vector<float> random_queries(const Batch& batch) {
    return random_floats(random_, batch.ids.size() * static_cast<size_t>(q_width()), 2.0F);
  }
  int64_t q_width() const { return int64_t{spec_.num_attention_heads} * spec_.qk_head_dim(); }
  int64_t out_width() const { return int64_t{spec_.num_attention_heads} * spec_.v_head_dim; }
  std::vector<float> attend(const Batch& batch, std::vector<float>& q) {
    const auto tokens = static_cast<int64_t>(batch.ids.size());
    std::vector<float> out(static_cast<size_t>(tokens * out_width()), NAN);
    ops_->mla_attention(*context_, view_of(out, tokens, out_width()), view_of(q, tokens, q_width()),
                        batch.view(), cache(), kLayer, kv_up_, spec_);
    return out;
  }

  // The twin: keys and values of every head are made from the cached latents.
  std::vector<double> naive_attention(const Batch& batch, const std::vector<float>& q) const {
    std::vector<double> out(batch.ids.size() * static_cast<size_t>(out_width()), 0.0);
    for (size_t t = 0; t < batch.ids.size(); ++t) {
      for (int head = 0; batch.slots[t] >= 0 && head < spec_.num_attention_heads; ++head) {
        naive_head(batch.slots[t], batch.positions[t],
                   q.data() + t * static_cast<size_t>(q_width()) +
                       static_cast<size_t>(head * spec_.qk_head_dim()),
                   head,
                   out.data() + t * static_cast<size_t>(out_width()) +
                       static_cast<size_t>(head * spec_.v_head_dim));
      }
    }
    return out;
  }
  void naive_head(int32_t slot, int32_t position, const float* q, int head, double* out) const {
    const int nope = spec_.qk_nope_head_dim, v = spec_.v_head_dim, latent = spec_.kv_lora_rank;
    const auto rotated = rotate(q + nope, position);
    std::vector<double> scores;
    for (int32_t s = 0; s <= position; ++s) {
      double dot = 0.0;
      for (int i = 0; i < nope; ++i) dot += q[i] * up(head * (nope + v) + i, slot, s);
      for (size_t i = 0; i < rotated.size(); ++i) {
        dot += rotated[i] * bf16_to_f32(entry(slot, s)[latent + static_cast<int>(i)]);
      }
      scores.push_back(dot * spec_.softmax_scale());
    }
    const double top = *std::max_element(scores.begin(), scores.end());
    double total = 0.0;
    for (double& s : scores) total += s = std::exp(s - top);
    for (int i = 0; i < v; ++i) {
      for (int32_t s = 0; s <= position; ++s) {
        out[i] +=
            scores[static_cast<size_t>(s)] / total * up(head * (nope + v) + nope + i, slot, s);
      }
    }
  }
  // Row `row` of kv_b_proj times the latent at a position.
  double up(int row, int32_t slot, int32_t position) const {
    double sum = 0.0;
    const uint16_t* const latent = entry(slot, position);
    for (int c = 0; c < spec_.kv_lora_rank; ++c) {
      sum +=
          kv_b_.values[static_cast<size_t>(row * spec_.kv_lora_rank + c)] * bf16_to_f32(latent[c]);
    }
    return sum;
  }
  std::vector<double> rotate(const float* x, int32_t position) const {
    std::vector<double> frequencies(static_cast<size_t>(spec_.qk_rope_head_dim / 2));
    yarn_inv_freq(spec_, frequencies.data());
    std::vector<double> out;
    for (size_t j = 0; j < frequencies.size(); ++j) {
      const double angle = position * frequencies[j], a = x[2 * j], b = x[2 * j + 1];
      out.push_back(a * std::cos(angle) - b * std::sin(angle));
      out.push_back(a * std::sin(angle) + b * std::cos(angle));
    }
    return out;
  }

  // bf16 products also round queries and probabilities.
  double attention_tolerance() const { return GetParam() >= CpuIsa::kAvx512 ? 1.5e-2 : 1e-5; }

  ModelSpec spec_;
  TestMatrix kv_b_;
  KvUpWeight kv_up_;
  TestVector q_norm_values_, kv_norm_values_;
  VectorWeight q_norm_, kv_norm_;
  std::vector<uint16_t> pages_;
  std::vector<int32_t> page_table_;
};

TEST_P(AttentionTest, LatentsAreNormedRotatedAndWrittenAtTheirPositions) {
  Batch batch;
  batch.add_row(1, 62, 4);  // crosses a page border
  batch.add_row(0, 0, 1);
  auto qkv = random_floats(random_, batch.ids.size() * static_cast<size_t>(qkv_width()));
  const auto q = write_latents(batch, qkv);
  for (size_t t = 0; t < batch.ids.size(); ++t) {
    const float* const row = qkv.data() + t * static_cast<size_t>(qkv_width());
    const auto norm = [&](const float* x, int n, const TestVector& w, int i) {
      double squares = 0.0;
      for (int j = 0; j < n; ++j) squares += double{x[j]} * x[j];
      return x[i] / std::sqrt(squares / n + spec_.rms_norm_eps) * w.values[static_cast<size_t>(i)];
    };
    for (int i = 0; i < spec_.q_lora_rank; ++i) {
      EXPECT_NEAR(q[t * static_cast<size_t>(spec_.q_lora_rank) + static_cast<size_t>(i)],
                  norm(row, spec_.q_lora_rank, q_norm_values_, i), 1e-5);
    }
    const uint16_t* const written = entry(batch.slots[t], batch.positions[t]);
    const float* const kv = row + spec_.q_lora_rank;
    for (int i = 0; i < spec_.kv_lora_rank; ++i) {
      const double wanted = norm(kv, spec_.kv_lora_rank, kv_norm_values_, i);
      EXPECT_NEAR(bf16_to_f32(written[i]), wanted, std::abs(wanted) * 0x1p-8);
    }
    const auto rotated = rotate(kv + spec_.kv_lora_rank, batch.positions[t]);
    for (size_t i = 0; i < rotated.size(); ++i) {
      EXPECT_NEAR(bf16_to_f32(written[spec_.kv_lora_rank + static_cast<int>(i)]), rotated[i],
                  std::abs(rotated[i]) * 0x1p-8 + 1e-6);
    }
  }
}

TEST_P(AttentionTest, MatchesTheNaiveFormAtPageBorders) {
  fill_cache(0, 66);
  fill_cache(2, 130);
  for (const int32_t position : {0, 1, 15, 16, 31, 62, 63, 64, 65}) {
    Batch batch;
    batch.add_row(0, position, 1);
    batch.add_row(2, position + 64, 1);
    auto q = random_queries(batch);
    EXPECT_LT(relative_error(attend(batch, q), naive_attention(batch, q)), attention_tolerance())
        << "position " << position;
  }
}

// Entries of 144 values do not fill whole tiles.
TEST_P(AttentionTest, MatchesTheNaiveFormWhenTheEntryHasAnOddWidth) {
  set_up(small_spec(5, 16));
  fill_cache(0, 70);
  Batch batch;
  batch.add_row(0, 60, 10);
  auto q = random_queries(batch);
  EXPECT_LT(relative_error(attend(batch, q), naive_attention(batch, q)), attention_tolerance());
}

TEST_P(AttentionTest, VerificationRowsSeeOnlyTheirOwnPast) {
  fill_cache(1, 70);
  for (const int32_t count : {1, 2, 4, 5, 8}) {
    Batch batch;
    batch.add_row(1, 62, count);  // later entries of the slot exist and must be masked
    auto q = random_queries(batch);
    EXPECT_LT(relative_error(attend(batch, q), naive_attention(batch, q)), attention_tolerance())
        << count << " query tokens";
  }
}

TEST_P(AttentionTest, LongContextsAreMergedOverSplits) {
  fill_cache(0, 1100);
  fill_cache(1, 513);
  Batch batch;
  batch.add_row(0, 1096, 4);
  batch.add_row(1, 511, 2);
  auto q = random_queries(batch);
  EXPECT_LT(relative_error(attend(batch, q), naive_attention(batch, q)), attention_tolerance());
}

TEST_P(AttentionTest, InertTokensGiveZerosAndWriteNothing) {
  fill_cache(0, 10);
  const auto before = pages_;
  Batch batch;
  batch.add_row(-1, 0, 2);
  batch.add_row(0, 9, 1);
  batch.row_starts.back() += 1;  // a row whose last token is inert
  batch.ids.push_back(0);
  batch.positions.push_back(10);
  batch.slots.push_back(-1);
  auto qkv = random_floats(random_, batch.ids.size() * static_cast<size_t>(qkv_width()));
  auto q = random_queries(batch);
  const auto out = attend(batch, q);
  const auto width = static_cast<size_t>(out_width());
  for (size_t i = 0; i < width; ++i) {
    EXPECT_EQ(out[i], 0.0F);
    EXPECT_EQ(out[width + i], 0.0F);
    EXPECT_NE(out[2 * width + i], 0.0F);
    EXPECT_EQ(out[3 * width + i], 0.0F);
  }
  Batch inert;
  inert.add_row(-1, 0, 3);
  write_latents(inert, qkv);
  EXPECT_EQ(pages_, before);
}

// One row alone, as part of a chunk, beside other sequences, with one or five threads: same bits.
TEST_P(AttentionTest, ARowDoesNotDependOnChunkingNeighboursOrThreads) {
  set_up(small_spec(4));
  fill_cache(0, 700);
  fill_cache(1, 80);
  Batch whole;
  whole.add_row(0, 640, 33);
  auto q = random_queries(whole);
  const auto wanted = attend(whole, q);
  const auto part_of = [&](const std::vector<float>& v, int64_t width, int64_t first,
                           int64_t count) {
    return std::vector<float>(v.begin() + first * width, v.begin() + (first + count) * width);
  };
  for (const int threads : {2, 1, 5}) {
    if (threads != 2) {
      ops_ = make_ops(threads);
      ops_->prepare_rope(spec_, 8192);
      kv_up_ = std::move(ops_->prepare_kv_up(kv_b_.view, spec_)).value();
    }
    for (const int32_t rows : {1, 2, 15, 16, 17, 33}) {
      Batch part;
      part.add_row(0, 640 + 33 - rows, rows);
      auto part_q = part_of(q, q_width(), 33 - rows, rows);
      EXPECT_EQ(attend(part, part_q), part_of(wanted, out_width(), 33 - rows, rows))
          << rows << " rows, " << threads << " threads";
    }
    Batch among;
    among.add_row(1, 70, 5);
    among.add_row(0, 650, 1);
    auto among_q = part_of(q, q_width(), 0, 5);
    const auto last = part_of(q, q_width(), 10, 1);
    among_q.insert(among_q.end(), last.begin(), last.end());
    EXPECT_EQ(part_of(attend(among, among_q), out_width(), 5, 1),
              part_of(wanted, out_width(), 10, 1));
  }
}

TEST_P(AttentionTest, ANaNInTheCacheReachesItsReadersOnly) {
  fill_cache(0, 80);
  fill_cache(1, 80);
  const auto position = 70;
  const_cast<uint16_t*>(entry(0, position))[3] = 0x7FC0;
  Batch batch;
  batch.add_row(0, 69, 2);
  batch.add_row(1, 75, 1);
  auto q = random_queries(batch);
  const auto out = attend(batch, q);
  const auto width = static_cast<size_t>(out_width());
  EXPECT_FALSE(std::isnan(out[0]));
  EXPECT_TRUE(std::isnan(out[width]));
  EXPECT_FALSE(std::isnan(out[2 * width]));
}

TEST_P(AttentionTest, AWriteToAPageThatWasNotGrantedAborts) {
  page_table_[1] = raw(kTrashPage);
  Batch batch;
  batch.add_row(0, 63, 1);
  auto qkv = random_floats(random_, static_cast<size_t>(2 * qkv_width()));
  write_latents(batch, qkv);
  batch.add_row(0, 64, 1);
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // the pool has threads
  EXPECT_DEATH(write_latents(batch, qkv), "outside its granted pages");
}

HADAL_FOR_EVERY_PATH(AttentionTest);

}  // namespace
}  // namespace hadal::ops::test
