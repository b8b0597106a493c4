// A batch of rows over a paged cache in device memory, and one launch of MLA decode over it.
#pragma once

#include <algorithm>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernels/mla/mla.h"
#include "reference/kernels/mla.h"
#include "support/gpu.h"

namespace hadal::test {

namespace mla = kernels::mla;
using kernels::KvFormat;

inline constexpr float kSoftmaxScale = 0.1352337788608801f;  // R1's

// One row: its tokens are the last `tokens` of a context of `context` entries.
struct RowShape {
  int context = 1;
  int tokens = 1;
  bool inert = false;
};

struct MlaCase {
  std::vector<RowShape> rows;
  int heads = 16;
  int queries_max = 1;
  KvFormat format = KvFormat::kFp8;
};

// Host data of a case. Rows own their pages; every byte that is not an entry in use is 0xff, which
// is a NaN in each of the types stored.
struct MlaData {
  MlaCase shape;
  int pages_per_slot = 0;
  std::vector<std::vector<reference::CacheEntry>> entries;  // [rows][context]
  std::vector<std::uint8_t> pages;
  std::vector<int> page_table;
  std::vector<int> row_starts{0};
  std::vector<int> positions;
  std::vector<int> slots;
  std::vector<float> q;  // [tokens, heads, 576], bf16 values

  int tokens() const { return row_starts.back(); }
};

inline std::vector<float> random_bf16_values(std::size_t count, float deviation,
                                             std::mt19937& random) {
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(count);
  for (float& x : values) x = reference::bf16_to_float(reference::float_to_bf16(normal(random)));
  return values;
}

// Fills the pages of row `r` and its line of the page table. `free_pages` gives page numbers.
inline void fill_row(MlaData& data, std::size_t r, std::vector<int>& free_pages,
                     std::mt19937& random) {
  const RowShape& row = data.shape.rows[r];
  const auto page_bytes = static_cast<std::size_t>(kernels::kv_page_bytes(data.shape.format));
  for (int t = 0; t < row.context; ++t) {
    if (t % kernels::kPageTokens == 0) {
      const std::size_t place = r * static_cast<std::size_t>(data.pages_per_slot) +
                                static_cast<std::size_t>(t / kernels::kPageTokens);
      data.page_table[place] = free_pages.back();
      free_pages.pop_back();
    }
    const int id = data.page_table[r * static_cast<std::size_t>(data.pages_per_slot) +
                                   static_cast<std::size_t>(t / kernels::kPageTokens)];
    const std::span<std::uint8_t> page(
        data.pages.data() + static_cast<std::size_t>(id) * page_bytes, page_bytes);
    // Latents of differing size, so that a scale applied to the wrong token shows.
    const float size = std::exp2(static_cast<float>(static_cast<int>(random() % 5)) - 3.0f);
    reference::write_entry(page, data.shape.format, t % kernels::kPageTokens,
                           random_bf16_values(kernels::kLatentRope, size, random));
    data.entries[r].push_back(
        reference::read_entry(page, data.shape.format, t % kernels::kPageTokens));
  }
}

inline MlaData make_data(const MlaCase& shape, unsigned seed) {
  std::mt19937 random(seed);
  MlaData data;
  data.shape = shape;
  data.entries.resize(shape.rows.size());
  int pages = 1;  // page 0 is the trash page
  for (const RowShape& row : shape.rows) {
    const int row_pages = kernels::ceil_div(row.context, kernels::kPageTokens);
    pages += row_pages;
    data.pages_per_slot = std::max(data.pages_per_slot, row_pages);
  }
  data.pages.assign(static_cast<std::size_t>(pages) *
                        static_cast<std::size_t>(kernels::kv_page_bytes(shape.format)),
                    0xff);
  data.page_table.assign(shape.rows.size() * static_cast<std::size_t>(data.pages_per_slot), 0);
  std::vector<int> free_pages(static_cast<std::size_t>(pages - 1));
  std::iota(free_pages.begin(), free_pages.end(), 1);
  std::shuffle(free_pages.begin(), free_pages.end(), random);
  for (std::size_t r = 0; r < shape.rows.size(); ++r) {
    const RowShape& row = shape.rows[r];
    fill_row(data, r, free_pages, random);
    for (int i = 0; i < row.tokens; ++i) {
      data.positions.push_back(row.context - row.tokens + i);
      data.slots.push_back(row.inert ? -1 : static_cast<int>(r));
    }
    data.row_starts.push_back(data.tokens() + row.tokens);
  }
  data.q = random_bf16_values(static_cast<std::size_t>(data.tokens()) *
                                  static_cast<std::size_t>(shape.heads * kernels::kLatentRope),
                              1.0f, random);
  return data;
}

enum class Kernel { kGeneric, kSm90 };

struct LaunchChoice {
  Kernel kernel = Kernel::kSm90;
  int split_pages = 0;
  int parts = 0;  // 0: what fills the machine
};

// Values [first, first + count) of every query.
inline std::vector<__nv_bfloat16> part_of_queries(const MlaData& data, int first, int count) {
  std::vector<__nv_bfloat16> part;
  for (std::size_t row = 0; row < data.q.size(); row += kernels::kLatentRope) {
    for (int i = first; i < first + count; ++i) {
      part.push_back(__float2bfloat16(data.q[row + static_cast<std::size_t>(i)]));
    }
  }
  return part;
}

// Plan, decode and combine once; returns out [tokens, heads, 512]. Every output and scratch buffer
// starts as NaN.
inline std::vector<__nv_bfloat16> run_mla(const MlaData& data, const LaunchChoice& choice,
                                          device::StreamView stream) {
  const MlaCase& shape = data.shape;
  const int rows = static_cast<int>(shape.rows.size());
  const DeviceArray<int> row_starts(data.row_starts, stream);
  const DeviceArray<int> positions(data.positions, stream);
  const DeviceArray<int> slots(data.slots, stream);
  const DeviceArray<int> page_table(data.page_table, stream);
  const DeviceArray<std::uint8_t> pages(data.pages, stream);
  const DeviceArray<__nv_bfloat16> q_latent(part_of_queries(data, 0, kernels::kLatent), stream);
  const DeviceArray<__nv_bfloat16> q_rope(part_of_queries(data, kernels::kLatent, kernels::kRope),
                                          stream);
  mla::DecodeParams p;
  p.rows = rows;
  p.parts = choice.parts > 0 ? choice.parts
                             : mla::decode_parts(shape.format, shape.heads, shape.queries_max,
                                                 multiprocessors());
  const auto segments = static_cast<std::size_t>(
      mla::segments_max(rows, p.parts, choice.split_pages, data.pages_per_slot));
  const std::size_t columns =
      segments * static_cast<std::size_t>(mla::tiles(shape.heads, shape.queries_max) *
                                          mla::tile_columns(shape.heads, shape.queries_max));
  const DeviceArray<int> part_starts(static_cast<std::size_t>(p.parts) + 1, stream);
  const DeviceArray<mla::Segment> segment_list(segments, stream);
  const DeviceArray<mla::SplitRow> split_rows(static_cast<std::size_t>(rows), stream);
  const DeviceArray<int> split_count(1, stream);
  const DeviceArray<float> partial_out(columns * kernels::kLatent, stream);
  const DeviceArray<float2> partial_stats(columns, stream);
  const DeviceArray<__nv_bfloat16> out(static_cast<std::size_t>(data.tokens()) *
                                           static_cast<std::size_t>(shape.heads * kernels::kLatent),
                                       stream);
  p.plan = {part_starts.get(), segment_list.get(), split_rows.get(), split_count.get()};
  p.q_latent = q_latent.get();
  p.q_rope = q_rope.get();
  p.pages = pages.get();
  p.page_table = page_table.get();
  p.pages_per_slot = data.pages_per_slot;
  p.heads = shape.heads;
  p.queries_max = shape.queries_max;
  p.softmax_scale = kSoftmaxScale;
  p.format = shape.format;
  p.partials = {partial_out.get(), partial_stats.get()};
  p.out = out.get();
  const auto order = kernels::LaunchOrder::kOverlapped;
  const mla::Rows row_arrays = {row_starts.get(), positions.get(), slots.get(), rows};
  must(mla::launch_plan({row_arrays, p.plan, p.parts, choice.split_pages}, order, stream.handle));
  if (choice.kernel == Kernel::kGeneric) {
    must(mla::launch_decode_generic(p, stream.handle));
  } else {
    must(mla::launch_decode_sm90(p, kernels::LaunchOrder::kSerial, stream.handle));
  }
  must(mla::launch_combine(p, multiprocessors(), order, stream.handle));
  return out.read(stream);
}

// Bound of the roundings between the twin and the kernels, relative to the sum of weight x |value|:
// the output's (bf16, at most 2^-8) and the weights' (half 2^-11, bf16 2^-8). Sums are fp32 and the
// cached values exact.
inline double mla_bound(KvFormat format) {
  return 1.0 / 256 + (format == KvFormat::kFp8 ? 1.0 / 2048 : 1.0 / 256);
}
// The same in absolute terms: a weight times 256 times the entry's scale is rounded to a half,
// below 2^-14 to a multiple of 2^-24, and multiplies an e4m3 value of at most 448.
inline double mla_underflow(KvFormat format, int entries) {
  return format == KvFormat::kFp8 ? entries * 448.0 / 256 / (1 << 25) : 0.0;
}

inline void expect_matches_twin(const MlaData& data, const std::vector<__nv_bfloat16>& out) {
  const MlaCase& shape = data.shape;
  const double bound = mla_bound(shape.format);
  Comparison comparison;
  for (std::size_t r = 0; r < shape.rows.size(); ++r) {
    for (int token = data.row_starts[r]; token < data.row_starts[r + 1]; ++token) {
      for (int head = 0; head < shape.heads; ++head) {
        const auto column = static_cast<std::size_t>(token * shape.heads + head);
        const std::span<const float> q(data.q.data() + column * kernels::kLatentRope,
                                       kernels::kLatentRope);
        const int entries = data.positions[static_cast<std::size_t>(token)] + 1;
        const double underflow = mla_underflow(shape.format, entries);
        reference::MlaColumn wanted{std::vector<double>(kernels::kLatent),
                                    std::vector<double>(kernels::kLatent)};
        if (!shape.rows[r].inert) {
          wanted = reference::mla_column(q, data.entries[r], entries,
                                         static_cast<double>(kSoftmaxScale));
        }
        for (std::size_t i = 0; i < wanted.out.size(); ++i) {
          comparison.add(to_double(out[column * kernels::kLatent + i]), wanted.out[i],
                         bound * wanted.magnitude[i] + underflow);
        }
      }
    }
  }
  comparison.expect_close(bound);
}

}  // namespace hadal::test
