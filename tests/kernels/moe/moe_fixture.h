// One MoE layer with random weights and a routing, on the host and on the device, and its three
// kernels in either implementation.
#pragma once

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/fp8_gemm/fp8_gemm.h"
#include "kernels/moe/moe.h"
#include "reference/kernels/experts.h"
#include "support/gpu.h"

namespace hadal::kernels::moe {

enum class Which { kGeneric, kSm90 };
enum class Choosing { kUniform, kOneHotExpert, kHalfInactive };

class LayerUnderTest {
 public:
  LayerUnderTest(const Shape& shape, int tokens, Choosing choosing)
      : shape_(shape),
        tokens_(tokens),
        row_tile_(row_tile_for(tokens)),
        random_(test::test_seed() + static_cast<unsigned>(tokens)),
        stream_(test::must(device::Stream::create())),
        x_(test::random_rows(tokens, shape.hidden, random_)),
        x_data_(x_.data, view()),
        x_scale_(x_.scale, view()) {
    route(choosing);
    make_weights();
    allocate();
  }

  const Shape& shape() const { return shape_; }
  int tokens() const { return tokens_; }
  int row_tile() const { return row_tile_; }
  const reference::Fp8Matrix& x() const { return x_; }
  const reference::Fp8Weight& gate_up_weight(int expert) const { return gate_up_[index(expert)]; }
  const reference::Fp8Weight& down_weight(int expert) const { return down_[index(expert)]; }
  std::vector<reference::Choice> choices(int token) const {
    const std::size_t begin = index(token * shape_.top_k);
    const auto count = static_cast<std::size_t>(shape_.top_k);
    return reference::choices_of(std::span(ids_).subspan(begin, count),
                                 std::span(route_weights_).subspan(begin, count),
                                 shape_.routed_experts);
  }

  void plan() {
    PlanParams params{
        shape_, {ids_device_.get(), route_weights_device_.get(), tokens_}, row_tile_, plan_};
    test::must(launch_plan(params, LaunchOrder::kSerial, view().handle));
  }
  void gate_up(Which which, int split_stages) {
    GateUpParams params;
    params.stream.x = {x_data_.get(), x_scale_.get(), x_.stride};
    params.stream.k = shape_.hidden;
    params.stream.row_tile = row_tile_;
    params.stream.split_stages = split_stages;
    params.stream.tickets = tickets_.get();
    params.shape = shape_;
    params.plan = plan_;
    params.tokens = tokens_;
    params.hidden = hidden_;
    const int blocks = test::multiprocessors();
    const test::DeviceArray<float> partials(
        gate_up_partial_floats(shape_, tokens_, row_tile_, split_stages, blocks), view());
    params.stream.partials = partials.get();
    if (which == Which::kGeneric) {
      params.weights = {gate_up_data_.get(), gate_up_scale_.get()};
      test::must(launch_gate_up_generic(params, view().handle));
    } else {
      params.weights = {gate_up_prepared_.get(), gate_up_scale_.get()};
      test::must(launch_gate_up_sm90(params, blocks, LaunchOrder::kSerial, view().handle));
    }
    test::must(view().synchronize());
  }
  std::vector<__nv_bfloat16> down(Which which) {
    const test::DeviceArray<__nv_bfloat16> out(index(tokens_ * shape_.hidden), view());
    const test::DeviceArray<float> expert_out(
        which == Which::kGeneric || tokens_ > kDownSm90TokensMax
            ? index(rows_max(shape_, tokens_)) * index(shape_.hidden)
            : 0,
        view());
    DownParams params;
    params.hidden = hidden_;
    params.shape = shape_;
    params.plan = plan_;
    params.tokens = tokens_;
    params.row_tile = row_tile_;
    params.expert_out = expert_out.get();
    params.out = out.get();
    if (which == Which::kGeneric) {
      params.weights = {down_data_.get(), down_scale_.get()};
      test::must(launch_down_generic(params, view().handle));
    } else {
      params.weights = {down_prepared_.get(), down_scale_.get()};
      test::must(launch_down_sm90(params, LaunchOrder::kSerial, view().handle));
    }
    return out.read(view());
  }

  // The plan and the hidden activations, as the device holds them.
  std::vector<int> counts() const { return counts_.read(view()); }
  std::vector<RowTile> tiles() const { return tiles_.read(view()); }
  std::vector<RowInfo> rows() const { return rows_.read(view()); }
  std::vector<int> token_rows() const { return token_rows_.read(view()); }
  std::vector<std::uint8_t> hidden_data() const { return hidden_data_.read(view()); }
  std::vector<float> hidden_scale() const { return hidden_scale_.read(view()); }
  const Hidden& hidden() const { return hidden_; }
  bool tickets_are_zero() const {
    const auto tickets = tickets_.read(view());
    return std::all_of(tickets.begin(), tickets.end(), [](unsigned t) { return t == 0; });
  }
  void poison_hidden() {
    hidden_data_ = test::DeviceArray<std::uint8_t>(hidden_data_.size(), view());
    hidden_scale_ = test::DeviceArray<float>(hidden_scale_.size(), view());
    hidden_ = {hidden_data_.get(), hidden_scale_.get(), hidden_.rows_capacity};
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  device::StreamView view() const { return stream_.view(); }

  void route(Choosing choosing) {
    std::vector<int> experts(index(shape_.routed_experts));
    std::iota(experts.begin(), experts.end(), 0);
    std::uniform_real_distribution<float> weight(0.05f, 0.6f);
    for (int token = 0; token < tokens_; ++token) {
      std::shuffle(experts.begin(), experts.end(), random_);
      if (choosing == Choosing::kOneHotExpert) {
        std::iter_swap(experts.begin(), std::find(experts.begin(), experts.end(), 3));
      }
      const bool inactive = choosing == Choosing::kHalfInactive && token % 2 == 1;
      for (int k = 0; k < shape_.top_k; ++k) {
        ids_.push_back(inactive ? -1 : experts[index(k)]);
        route_weights_.push_back(weight(random_));
      }
    }
    ids_device_ = {ids_, view()};
    route_weights_device_ = {route_weights_, view()};
  }

  void make_weights() {
    const int i = shape_.intermediate;
    const int h = shape_.hidden;
    std::vector<std::uint8_t> gate_up_data, down_data;
    std::vector<float> gate_up_scale, down_scale;
    for (int e = 0; e < shape_.experts(); ++e) {
      gate_up_.push_back(test::random_weight(2 * i, h, random_));
      down_.push_back(test::random_weight(h, i, random_));
      const auto append = [](auto& to, const auto& from) {
        to.insert(to.end(), from.begin(), from.end());
      };
      append(gate_up_data, gate_up_.back().data);
      append(gate_up_scale, gate_up_.back().scale);
      append(down_data, down_.back().data);
      append(down_scale, down_.back().scale);
    }
    gate_up_data_ = {gate_up_data, view()};
    gate_up_scale_ = {gate_up_scale, view()};
    down_data_ = {down_data, view()};
    down_scale_ = {down_scale, view()};
    // 2 i and h are multiples of 64, so the experts' prepared weights follow one another too.
    gate_up_prepared_ = {gate_up_data.size(), view()};
    down_prepared_ = {down_data.size(), view()};
    test::must(fp8_gemm::launch_prepare_weight(gate_up_prepared_.get(), gate_up_data_.get(),
                                               shape_.experts() * 2 * i, h, view().handle));
    test::must(fp8_gemm::launch_prepare_weight(down_prepared_.get(), down_data_.get(),
                                               shape_.experts() * h, i, view().handle));
  }

  void allocate() {
    const std::size_t rows = index(rows_max(shape_, tokens_));
    counts_ = {2, view()};
    tiles_ = {index(tiles_max(shape_, tokens_, row_tile_)), view()};
    rows_ = {rows, view()};
    token_rows_ = {index(tokens_ * shape_.rows_per_token()), view()};
    plan_ = {counts_.get(), tiles_.get(), rows_.get(), token_rows_.get()};
    hidden_data_ = {rows * index(shape_.intermediate), view()};
    hidden_scale_ = {rows * index(shape_.intermediate / kQuantBlock), view()};
    hidden_ = {hidden_data_.get(), hidden_scale_.get(), static_cast<int>(rows)};
    tickets_ = {gate_up_tickets(shape_, tokens_, row_tile_), view()};
    tickets_.zero(view());
  }

  Shape shape_;
  int tokens_;
  int row_tile_;
  std::mt19937 random_;
  device::Stream stream_;
  reference::Fp8Matrix x_;
  test::DeviceArray<std::uint8_t> x_data_;
  test::DeviceArray<float> x_scale_;
  std::vector<int> ids_;
  std::vector<float> route_weights_;
  test::DeviceArray<int> ids_device_;
  test::DeviceArray<float> route_weights_device_;
  std::vector<reference::Fp8Weight> gate_up_;
  std::vector<reference::Fp8Weight> down_;
  test::DeviceArray<std::uint8_t> gate_up_data_, down_data_, gate_up_prepared_, down_prepared_;
  test::DeviceArray<float> gate_up_scale_, down_scale_;
  test::DeviceArray<int> counts_;
  test::DeviceArray<RowTile> tiles_;
  test::DeviceArray<RowInfo> rows_;
  test::DeviceArray<int> token_rows_;
  Plan plan_;
  test::DeviceArray<std::uint8_t> hidden_data_;
  test::DeviceArray<float> hidden_scale_;
  Hidden hidden_;
  test::DeviceArray<unsigned> tickets_;
};

}  // namespace hadal::kernels::moe
