#include "kernels/norm/norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "support/gpu.h"

namespace hadal::kernels::norm {
namespace {

using test::DeviceArray;
using test::must;
using test::to_double;

constexpr float kEpsilon = 1e-6f;
// FP32 sums of squares and one bf16 rounding: half a unit of the last place, and its neighbour
// where the FP32 error decides a tie.
constexpr double kNormTolerance = 1.0 / 256;
constexpr double kNormRelativeErrorMax = 3e-3;
constexpr double kQuantRelativeErrorMax = 1.0 / 16;  // half a unit of the last place of e4m3

std::size_t index(int i) {
  return static_cast<std::size_t>(i);
}

std::vector<__nv_bfloat16> random_bf16(int count, float deviation, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<__nv_bfloat16> values(index(count));
  for (auto& x : values) x = __float2bfloat16(normal(random));
  return values;
}

double rounded(double x) {
  return to_double(__float2bfloat16(static_cast<float>(x)));
}

// rms_norm(x) * weight in double.
std::vector<double> norm_twin(const std::vector<double>& x, const __nv_bfloat16* weight) {
  double square = 0;
  for (const double v : x) square += v * v;
  const double inverse_rms =
      1.0 / std::sqrt(square / static_cast<double>(x.size()) + static_cast<double>(kEpsilon));
  std::vector<double> y;
  for (std::size_t i = 0; i < x.size(); ++i) y.push_back(x[i] * inverse_rms * to_double(weight[i]));
  return y;
}

// Quantised rows in tiles, as the rows they stand for.
std::vector<std::uint8_t> from_tiles(const std::vector<std::uint8_t>& tiles, int tokens, int hidden,
                                     int stride) {
  std::vector<std::uint8_t> rows;
  for (int t = 0; t < tokens; ++t) {
    for (int c = 0; c < hidden; ++c) rows.push_back(tiles[tiled_offset(stride, t, c)]);
  }
  return rows;
}

void check_add_norm_quant(int tokens, int hidden, bool with_residual, RowLayout layout) {
  SCOPED_TRACE(testing::Message() << tokens << " x " << hidden
                                  << (with_residual ? ", residual" : ""));
  std::mt19937 random(test::test_seed() + index(tokens));
  const auto stream = must(device::Stream::create());
  const auto x = random_bf16(tokens * hidden, 1.0f, random);
  const auto before = random_bf16(tokens * hidden, 3.0f, random);
  const auto weight = random_bf16(hidden, 1.0f, random);
  const DeviceArray<__nv_bfloat16> x_d(x, stream.view()), residual_d(before, stream.view()),
      weight_d(weight, stream.view());
  const DeviceArray<__nv_bfloat16> normed_d(x.size(), stream.view());
  const int stride = (tokens + 7) / 8 * 8;
  const DeviceArray<std::uint8_t> data_d(index(stride * hidden), stream.view());
  const DeviceArray<float> scale_d(index(hidden / 128 * stride), stream.view());
  AddNormQuantParams p{x_d.get(),      with_residual ? residual_d.get() : nullptr,
                       weight_d.get(), kEpsilon,
                       tokens,         hidden,
                       normed_d.get(), {data_d.get(), scale_d.get(), stride, layout}};
  must(launch_add_norm_quant(p, LaunchOrder::kSerial, stream.view().handle));
  const auto residual = residual_d.read(stream.view());
  const auto normed = normed_d.read(stream.view());
  const auto data = data_d.read(stream.view());
  const reference::Fp8Matrix quantised{
      tokens, hidden, stride,
      layout == RowLayout::kTiles ? from_tiles(data, tokens, hidden, stride) : data,
      scale_d.read(stream.view())};

  test::Comparison norms, quants;
  for (int t = 0; t < tokens; ++t) {
    std::vector<double> sum(index(hidden));
    for (int c = 0; c < hidden; ++c) {
      const std::size_t i = index(t * hidden + c);
      sum[index(c)] =
          with_residual ? rounded(to_double(x[i]) + to_double(before[i])) : to_double(x[i]);
      if (with_residual) {
        ASSERT_EQ(to_double(residual[i]), sum[index(c)]) << i;
      }
    }
    const auto wanted = norm_twin(sum, weight.data());
    for (int c = 0; c < hidden; ++c) {
      const double y = to_double(normed[index(t * hidden + c)]);
      norms.add(y, wanted[index(c)], std::fabs(wanted[index(c)]) * kNormTolerance);
      const double scale = static_cast<double>(quantised.scale_of(t, c));
      quants.add(quantised.at(t, c), y, 1.001 * reference::fp8_rounding_bound(y, scale));
    }
  }
  norms.expect_close(kNormRelativeErrorMax);
  quants.expect_close(kQuantRelativeErrorMax);
}

TEST(AddNormQuant, MatchesTheTwin) {
  for (const int tokens : {0, 1, 2, 33, 130}) {
    check_add_norm_quant(tokens, 7168, true, RowLayout::kRows);
    check_add_norm_quant(tokens, 7168, true, RowLayout::kTiles);
    check_add_norm_quant(tokens, 256, true, RowLayout::kTiles);
    check_add_norm_quant(tokens, 1536, false, RowLayout::kRows);
  }
  check_add_norm_quant(3, kHiddenMax, true, RowLayout::kRows);
}

TEST(AddNormQuant, AnAllZeroRowQuantisesToZero) {
  const auto stream = must(device::Stream::create());
  const std::vector<__nv_bfloat16> zeros(256, __float2bfloat16(0.0f));
  const DeviceArray<__nv_bfloat16> x(zeros, stream.view()), weight(zeros, stream.view());
  const DeviceArray<std::uint8_t> data(256, stream.view());
  const DeviceArray<float> scale(8, stream.view());
  AddNormQuantParams p{x.get(), nullptr, weight.get(), kEpsilon,
                       1,       256,     nullptr,      {data.get(), scale.get(), 4}};
  must(launch_add_norm_quant(p, LaunchOrder::kSerial, stream.view().handle));
  EXPECT_EQ(data.read(stream.view()), std::vector<std::uint8_t>(256, 0));
  EXPECT_GT(scale.read(stream.view())[0], 0.0f);
}

TEST(AddNormQuant, RefusesWidthsItCannotDo) {
  AddNormQuantParams p;
  p.hidden = kHiddenMax + 256;
  EXPECT_EQ(launch_add_norm_quant(p, LaunchOrder::kSerial, nullptr), cudaErrorInvalidValue);
  p.hidden = 384;
  EXPECT_EQ(launch_add_norm_quant(p, LaunchOrder::kSerial, nullptr), cudaErrorInvalidValue);
}

// One token's cache row as the format says.
struct CacheRow {
  std::vector<double> latent, key;
  double scale = 0;
};
CacheRow read_row(const std::vector<std::uint8_t>& cache, KvFormat format, int slot) {
  const std::uint8_t* row = &cache[index(slot) * index(kv_token_bytes(format))];
  CacheRow out;
  const auto bf16_at = [&](int offset) {
    __nv_bfloat16 value;
    std::memcpy(&value, row + offset, 2);
    return to_double(value);
  };
  if (format == KvFormat::kFp8) {
    float scale;
    std::memcpy(&scale, row + kFp8ScaleOffset, 4);
    out.scale = static_cast<double>(scale);
    for (int i = 0; i < kLatent; ++i)
      out.latent.push_back(static_cast<double>(reference::fp8_to_float(row[i])) * out.scale);
    for (int i = 0; i < kRope; ++i) out.key.push_back(bf16_at(kFp8RopeOffset + 2 * i));
  } else {
    for (int i = 0; i < kLatent; ++i)
      out.latent.push_back(bf16_at(bf16_row_offset(slot % kPageTokens, i)));
    for (int i = 0; i < kRope; ++i)
      out.key.push_back(bf16_at(bf16_row_offset(slot % kPageTokens, kLatent + i)));
  }
  return out;
}

void check_norm_rope_cache(int tokens, KvFormat format) {
  SCOPED_TRACE(testing::Message() << tokens << " tokens, format " << static_cast<int>(format));
  constexpr int kQ = 1536;
  constexpr int kWidth = kQ + kLatentRope;
  constexpr int kPositions = 300;
  std::mt19937 random(test::test_seed() + index(tokens));
  const auto stream = must(device::Stream::create());
  const auto fused = random_bf16(tokens * kWidth, 2.0f, random);
  const auto q_weight = random_bf16(kQ, 1.0f, random);
  const auto kv_weight = random_bf16(kLatent, 1.0f, random);
  std::vector<float2> cos_sin;
  for (int i = 0; i < kPositions * kRope / 2; ++i)
    cos_sin.push_back(
        {std::cos(0.01f * static_cast<float>(i)), std::sin(0.01f * static_cast<float>(i))});
  const int pages = tokens / kPageTokens + 2;
  std::vector<int> slots(index(pages * kPageTokens));
  for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<int>(i);
  std::shuffle(slots.begin(), slots.end(), random);
  slots.resize(index(tokens));
  if (tokens > 2) slots[1] = -1;
  std::vector<int> positions;
  for (int t = 0; t < tokens; ++t) positions.push_back(static_cast<int>(random() % kPositions));

  const int stride = (tokens + 3) / 4 * 4;
  const DeviceArray<__nv_bfloat16> fused_d(fused, stream.view()),
      q_weight_d(q_weight, stream.view()), kv_weight_d(kv_weight, stream.view());
  const DeviceArray<float2> cos_sin_d(cos_sin, stream.view());
  const DeviceArray<int> positions_d(positions, stream.view()), slots_d(slots, stream.view());
  const DeviceArray<std::uint8_t> q_d(index(tokens * kQ), stream.view()),
      cache_d(index(pages * kv_page_bytes(format)), stream.view());
  const DeviceArray<float> q_scale_d(index(kQ / 128 * stride), stream.view());
  NormRopeCacheParams p{fused_d.get(),
                        q_weight_d.get(),
                        kv_weight_d.get(),
                        cos_sin_d.get(),
                        positions_d.get(),
                        slots_d.get(),
                        kEpsilon,
                        tokens,
                        kQ,
                        {q_d.get(), q_scale_d.get(), stride},
                        cache_d.get(),
                        format};
  must(launch_norm_rope_cache(p, LaunchOrder::kSerial, stream.view().handle));
  const reference::Fp8Matrix q{tokens, kQ, stride, q_d.read(stream.view()),
                               q_scale_d.read(stream.view())};
  const auto cache = cache_d.read(stream.view());

  test::Comparison q_compare, latent_compare, key_compare;
  int written = 0;
  for (int t = 0; t < tokens; ++t) {
    const auto values = [&](int begin, int count) {
      std::vector<double> v;
      for (int i = 0; i < count; ++i) v.push_back(to_double(fused[index(t * kWidth + begin + i)]));
      return v;
    };
    const auto q_wanted = norm_twin(values(0, kQ), q_weight.data());
    for (int c = 0; c < kQ; ++c) {
      const double bound = std::fabs(q_wanted[index(c)]) * kNormTolerance +
                           1.01 * reference::fp8_rounding_bound(
                                      q_wanted[index(c)], static_cast<double>(q.scale_of(t, c)));
      q_compare.add(q.at(t, c), q_wanted[index(c)], bound);
    }
    if (slots[index(t)] < 0) continue;
    ++written;
    const CacheRow row = read_row(cache, format, slots[index(t)]);
    const auto latent = norm_twin(values(kQ, kLatent), kv_weight.data());
    for (int i = 0; i < kLatent; ++i) {
      const double quant = format == KvFormat::kFp8
                               ? 1.01 * reference::fp8_rounding_bound(latent[index(i)], row.scale)
                               : 0.0;
      latent_compare.add(row.latent[index(i)], latent[index(i)],
                         std::fabs(latent[index(i)]) * kNormTolerance + quant);
    }
    const auto key = values(kQ + kLatent, kRope);
    for (int i = 0; i < kRope / 2; ++i) {
      const float2 a = cos_sin[index(positions[index(t)] * kRope / 2 + i)];
      const double even = key[index(2 * i)], odd = key[index(2 * i + 1)];
      const double bound = (std::fabs(even) + std::fabs(odd)) * kNormTolerance;
      key_compare.add(row.key[index(2 * i)],
                      even * static_cast<double>(a.x) - odd * static_cast<double>(a.y), bound);
      key_compare.add(row.key[index(2 * i + 1)],
                      even * static_cast<double>(a.y) + odd * static_cast<double>(a.x), bound);
    }
  }
  q_compare.expect_close(kQuantRelativeErrorMax);
  latent_compare.expect_close(format == KvFormat::kFp8 ? kQuantRelativeErrorMax
                                                       : kNormRelativeErrorMax);
  key_compare.expect_close(kNormRelativeErrorMax);
  // Nothing else was touched: as many rows as tokens with a slot are no longer the poison.
  int touched = 0;
  for (int s = 0; s < pages * kPageTokens; ++s)
    touched += cache[index(s) * index(kv_token_bytes(format)) + 1] != 0xff ||
               cache[index(s) * index(kv_token_bytes(format)) + 3] != 0xff;
  EXPECT_EQ(touched, written);
}

TEST(NormRopeCache, MatchesTheTwin) {
  for (const int tokens : {0, 1, 2, 31, 64, 65, 200}) {
    check_norm_rope_cache(tokens, KvFormat::kFp8);
    check_norm_rope_cache(tokens, KvFormat::kBf16);
  }
}

TEST(RopeQuery, RotatesThePairsOfEveryHead) {
  constexpr int kTokens = 5, kHeads = 16;
  std::mt19937 random(test::test_seed());
  const auto stream = must(device::Stream::create());
  const auto q = random_bf16(kTokens * kHeads * 192, 1.0f, random);
  const std::vector<int> positions = {0, 3, 1, 2, 3};
  std::vector<float2> cos_sin;
  for (int i = 0; i < 4 * kRope / 2; ++i)
    cos_sin.push_back(
        {std::cos(0.1f * static_cast<float>(i)), std::sin(0.1f * static_cast<float>(i))});
  const DeviceArray<__nv_bfloat16> q_d(q, stream.view()),
      out_d(index(kTokens * kHeads * kRope), stream.view());
  const DeviceArray<float2> cos_sin_d(cos_sin, stream.view());
  const DeviceArray<int> positions_d(positions, stream.view());
  must(launch_rope_query(
      {q_d.get(), cos_sin_d.get(), positions_d.get(), kTokens, kHeads, out_d.get()},
      LaunchOrder::kSerial, stream.view().handle));
  const auto out = out_d.read(stream.view());
  test::Comparison comparison;
  for (int row = 0; row < kTokens * kHeads; ++row) {
    for (int i = 0; i < kRope / 2; ++i) {
      const float2 a = cos_sin[index(positions[index(row / kHeads)] * kRope / 2 + i)];
      const double even = to_double(q[index(row * 192 + 128 + 2 * i)]),
                   odd = to_double(q[index(row * 192 + 129 + 2 * i)]);
      const double bound = (std::fabs(even) + std::fabs(odd)) * kNormTolerance;
      comparison.add(to_double(out[index(row * kRope + 2 * i)]),
                     even * static_cast<double>(a.x) - odd * static_cast<double>(a.y), bound);
      comparison.add(to_double(out[index(row * kRope + 2 * i + 1)]),
                     even * static_cast<double>(a.y) + odd * static_cast<double>(a.x), bound);
    }
  }
  comparison.expect_close(kNormRelativeErrorMax);
}

}  // namespace
}  // namespace hadal::kernels::norm
