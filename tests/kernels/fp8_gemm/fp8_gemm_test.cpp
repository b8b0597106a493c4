#include "kernels/fp8_gemm/fp8_gemm.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "support/gpu.h"

namespace hadal::kernels::fp8_gemm {
namespace {

using test::DeviceArray;
using test::must;

// The relative error of a bf16 result whose rounding is uniform: 2^-9 / sqrt(3), and the sum's own.
constexpr double kRelativeErrorMax = 3e-3;

// The rows as the kernels read them. What lies between the rows and the capacity is NaN.
std::vector<std::uint8_t> in_tiles(const reference::Fp8Matrix& x) {
  std::vector<std::uint8_t> tiles(
      static_cast<std::size_t>(x.stride) * static_cast<std::size_t>(x.k), 0xff);
  for (int row = 0; row < x.rows; ++row) {
    for (int k = 0; k < x.k; ++k) tiles[tiled_offset(x.stride, row, k)] = x.data[x.index(row, k)];
  }
  return tiles;
}

// One weight and one batch of rows, on the host and on the device.
class Case {
 public:
  Case(int rows, int n, int k)
      : random_(test::test_seed() + static_cast<unsigned>(rows * 7 + n + k)),
        stream_(must(device::Stream::create())),
        x_(test::random_rows(rows, k, random_)),
        w_(test::random_weight(n, k, random_)),
        x_data_(in_tiles(x_), view()),
        x_scale_(x_.scale, view()),
        w_data_(w_.data, view()),
        w_scale_(w_.scale, view()),
        prepared_(prepared_weight_bytes(n, k), view()),
        tickets_(static_cast<std::size_t>(n / kSliceRows) * 8, view()) {
    must(launch_prepare_weight(prepared_.get(), w_data_.get(), n, k, view().handle));
    tickets_.zero(view());
  }

  int chosen_split(SplitFor purpose) const {
    return choose_split(w_.n, w_.k, test::multiprocessors(), purpose);
  }
  std::vector<__nv_bfloat16> run_sm90(int split_stages) { return run_sm90(x_.rows, split_stages); }

  // The first `rows` rows only.
  std::vector<__nv_bfloat16> run_sm90(int rows, int split_stages) {
    DeviceArray<__nv_bfloat16> out(static_cast<std::size_t>(rows) * static_cast<std::size_t>(w_.n),
                                   view());
    const int blocks = blocks_;
    DeviceArray<float> partials(
        rows == 0 ? 1 : partial_floats(rows, w_.n, w_.k, split_stages, blocks), view());
    Params params = this->params(rows, out.get());
    params.weights = prepared_.get();
    params.stream.split_stages = split_stages;
    params.stream.partials = partials.get();
    params.stream.tickets = tickets_.get();
    must(launch_sm90(params, blocks, LaunchOrder::kSerial, view().handle));
    return out.read(view());
  }

  std::vector<__nv_bfloat16> run_generic() {
    DeviceArray<__nv_bfloat16> out(
        static_cast<std::size_t>(x_.rows) * static_cast<std::size_t>(w_.n), view());
    Params params = this->params(x_.rows, out.get());
    params.weights = w_data_.get();
    must(launch_generic(params, view().handle));
    return out.read(view());
  }

  // Every `step`th column, so that large shapes stay quick.
  void expect_right(const std::vector<__nv_bfloat16>& out, int step) const {
    test::Comparison comparison;
    for (int row = 0; row < x_.rows; ++row) {
      for (int column = row % step; column < w_.n; column += step) {
        const reference::Sum wanted = reference::dot(x_, row, w_, column);
        const double found =
            test::to_double(out[static_cast<std::size_t>(row) * static_cast<std::size_t>(w_.n) +
                                static_cast<std::size_t>(column)]);
        comparison.add(found, wanted.value,
                       std::fabs(wanted.value) * reference::kBf16Tolerance + wanted.bound());
      }
    }
    comparison.expect_close(kRelativeErrorMax);
  }

  // Later runs use this many blocks.
  void use_blocks(int blocks) { blocks_ = blocks; }
  bool tickets_are_zero() {
    for (const unsigned ticket : tickets_.read(view())) {
      if (ticket != 0) return false;
    }
    return true;
  }

 private:
  device::StreamView view() const { return stream_.view(); }
  Params params(int rows, __nv_bfloat16* out) const {
    Params params;
    params.stream.x = {x_data_.get(), x_scale_.get(), x_.stride};
    params.stream.k = w_.k;
    params.weight_scale = w_scale_.get();
    params.out = out;
    params.rows = rows;
    params.n = w_.n;
    return params;
  }

  std::mt19937 random_;
  int blocks_ = test::multiprocessors();
  device::Stream stream_;
  reference::Fp8Matrix x_;
  reference::Fp8Weight w_;
  DeviceArray<std::uint8_t> x_data_;
  DeviceArray<float> x_scale_;
  DeviceArray<std::uint8_t> w_data_;
  DeviceArray<float> w_scale_;
  DeviceArray<std::uint8_t> prepared_;
  DeviceArray<unsigned> tickets_;
};

TEST(Fp8Gemm, BothKernelsMatchTheTwinAtTheEdgesOfRows) {
  for (const int rows : {0, 1, 7, 8, 9, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128}) {
    SCOPED_TRACE(rows);
    Case c(rows, 192, 512);
    c.expect_right(c.run_generic(), 1);
    c.expect_right(c.run_sm90(0), 1);
    c.expect_right(c.run_sm90(1), 1);
    EXPECT_TRUE(c.tickets_are_zero());
  }
}

TEST(Fp8Gemm, MatchesTheTwinAtTheModelsShapes) {
  constexpr int kShapes[][2] = {
      {2112, 7168}, {3072, 1536}, {7168, 2048}, {4608, 7168}, {7168, 2304}};
  for (const auto& [n, k] : kShapes) {
    for (const int rows : {1, 20, 100}) {
      SCOPED_TRACE(testing::Message() << n << " x " << k << ", rows " << rows);
      Case c(rows, n, k);
      c.expect_right(c.run_sm90(0), 7);
      c.expect_right(c.run_sm90(c.chosen_split(SplitFor::kSpeed)), 7);
      c.expect_right(c.run_generic(), 31);
    }
  }
}

TEST(Fp8Gemm, FewBlocksGoRoundTheirPipelineManyTimes) {
  Case c(9, 256, 2048);
  for (const int blocks : {1, 3}) {
    c.use_blocks(blocks);
    c.expect_right(c.run_sm90(0), 1);
    c.expect_right(c.run_sm90(2), 1);
  }
  EXPECT_TRUE(c.tickets_are_zero());
}

TEST(Fp8Gemm, SameInputGivesSameBits) {
  Case c(17, 2112, 7168);
  const auto first = c.run_sm90(0);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(test::same_bits(first, c.run_sm90(0)));
}

TEST(Fp8Gemm, WithAFixedSplitARowDoesNotDependOnTheOthers) {
  Case c(33, 2112, 7168);
  const int split = c.chosen_split(SplitFor::kFixed);
  const auto together = c.run_sm90(33, split);
  for (const int rows : {1, 8, 9, 32}) {
    const auto fewer = c.run_sm90(rows, split);
    EXPECT_EQ(0, std::memcmp(fewer.data(), together.data(), fewer.size() * sizeof(fewer[0])))
        << rows;
  }
}

TEST(Fp8Gemm, RefusesShapesItCannotDo) {
  Params params;
  params.rows = kRowsMax + 1;
  params.n = 64;
  params.stream.k = 256;
  params.stream.x.scale_stride = 256;
  EXPECT_EQ(launch_sm90(params, 1, LaunchOrder::kSerial, nullptr), cudaErrorInvalidValue);
  params.rows = 1;
  params.stream.k = 384;
  EXPECT_EQ(launch_sm90(params, 1, LaunchOrder::kSerial, nullptr), cudaErrorInvalidValue);
  params.stream.k = 256;
  params.n = 96;
  EXPECT_EQ(launch_sm90(params, 1, LaunchOrder::kSerial, nullptr), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hadal::kernels::fp8_gemm
