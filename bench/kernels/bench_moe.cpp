// The experts of one MoE layer: one TP8 rank (intermediate 256), 256 routed experts and the shared
// one, uniform and skewed routing. Bytes are counted from the experts that the routing touches.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "hadal/device/buffer.h"
#include "hadal/device/error.h"
#include "kernels/data.h"
#include "kernels/families.h"
#include "kernels/moe/moe.h"

namespace hadal::bench {
namespace {

using device::DeviceBuffer;
using kernels::LaunchOrder;
namespace moe = kernels::moe;

constexpr int kRoutings = 16;  // different routings that a graph walks through
constexpr moe::Shape kRank{256, 8, 7168, 256};

std::size_t size(int a, int b) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

// One batch's routing and everything that depends on it.
struct Batch {
  DeviceBuffer ids, weights, counts, tiles, rows, token_rows;
  int experts_touched = 0;  // the shared one included
  moe::Plan plan() const {
    return {counts.as<int>(), tiles.as<moe::RowTile>(), rows.as<moe::RowInfo>(),
            token_rows.as<int>()};
  }
};

struct Layer {
  DeviceBuffer gate_up, gate_up_scale, down, down_scale;
};

struct Work {
  DeviceBuffer x, x_scale, hidden, hidden_scale, out, partials, tickets, expert_out;
};

enum class Skew { kUniform, kHot };

// kHot: a Zipf-like popularity whose hottest experts get some 6 times the mean, as routers of this
// model show on narrow topics.
std::vector<double> popularity(Skew skew) {
  std::vector<double> p(256, 1.0);
  if (skew == Skew::kHot) {
    for (std::size_t e = 0; e < p.size(); ++e) p[e] = 1.0 / (10.0 + static_cast<double>(e));
  }
  return p;
}

std::vector<int> choose(int tokens, Skew skew, std::mt19937& random) {
  std::vector<int> order(256);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);  // which experts are hot
  const std::vector<double> p = popularity(skew);
  std::discrete_distribution<int> draw(p.begin(), p.end());
  std::vector<int> ids;
  for (int t = 0; t < tokens; ++t) {
    std::set<int> chosen;
    while (chosen.size() < 8) chosen.insert(order[static_cast<std::size_t>(draw(random))]);
    ids.insert(ids.end(), chosen.begin(), chosen.end());
  }
  return ids;
}

Result<Batch> make_batch(int tokens, Skew skew, std::mt19937& random, device::StreamView stream) {
  const std::vector<int> ids = choose(tokens, skew, random);
  const std::vector<float> weights(ids.size(), 0.3f);
  Batch b;
  b.experts_touched = static_cast<int>(std::set<int>(ids.begin(), ids.end()).size()) + 1;
  HADAL_ASSIGN_OR_RETURN(b.ids, DeviceBuffer::allocate(ids.size() * 4));
  HADAL_ASSIGN_OR_RETURN(b.weights, DeviceBuffer::allocate(ids.size() * 4));
  HADAL_ASSIGN_OR_RETURN(b.counts, DeviceBuffer::allocate(8));
  HADAL_ASSIGN_OR_RETURN(b.tiles, DeviceBuffer::allocate(size(moe::tiles_max(kRank, tokens, 8),
                                                              sizeof(moe::RowTile))));
  HADAL_ASSIGN_OR_RETURN(
      b.rows, DeviceBuffer::allocate(size(moe::rows_max(kRank, tokens), sizeof(moe::RowInfo))));
  HADAL_ASSIGN_OR_RETURN(b.token_rows, DeviceBuffer::allocate(size(tokens, 9 * 4)));
  HADAL_RETURN_IF_ERROR(device::copy(b.ids.as<void>(), ids.data(), ids.size() * 4, stream));
  HADAL_RETURN_IF_ERROR(device::copy(b.weights.as<void>(), weights.data(), ids.size() * 4, stream));
  HADAL_RETURN_IF_ERROR(stream.synchronize());
  return b;
}

Result<Layer> make_layer(device::StreamView stream) {
  const int experts = kRank.experts();
  Layer l;
  HADAL_ASSIGN_OR_RETURN(l.gate_up, DeviceBuffer::allocate(size(experts, 512 * 7168)));
  HADAL_ASSIGN_OR_RETURN(l.gate_up_scale, DeviceBuffer::allocate(size(experts, 4 * 56 * 4)));
  HADAL_ASSIGN_OR_RETURN(l.down, DeviceBuffer::allocate(size(experts, 7168 * 256)));
  HADAL_ASSIGN_OR_RETURN(l.down_scale, DeviceBuffer::allocate(size(experts, 56 * 2 * 4)));
  HADAL_RETURN_IF_CUDA_ERROR(
      fill_random_fp8(l.gate_up.as<std::uint8_t>(), l.gate_up.size_bytes(), 1, stream.handle));
  HADAL_RETURN_IF_CUDA_ERROR(
      fill_random_fp8(l.down.as<std::uint8_t>(), l.down.size_bytes(), 2, stream.handle));
  HADAL_RETURN_IF_CUDA_ERROR(fill_random_float(l.gate_up_scale.as<float>(),
                                               l.gate_up_scale.size_bytes() / 4, 1e-5f, 3e-5f, 3,
                                               stream.handle));
  HADAL_RETURN_IF_CUDA_ERROR(fill_random_float(
      l.down_scale.as<float>(), l.down_scale.size_bytes() / 4, 1e-4f, 3e-4f, 4, stream.handle));
  return l;
}

Result<Work> make_work(int tokens, int row_tile, int split, int blocks, device::StreamView stream) {
  const int rows = moe::rows_max(kRank, tokens);
  Work w;
  HADAL_ASSIGN_OR_RETURN(w.x, DeviceBuffer::allocate(size(tokens, 7168)));
  HADAL_ASSIGN_OR_RETURN(w.x_scale, DeviceBuffer::allocate(size(tokens + 3, 56 * 4)));
  HADAL_ASSIGN_OR_RETURN(w.hidden, DeviceBuffer::allocate(size(rows, 256)));
  HADAL_ASSIGN_OR_RETURN(w.hidden_scale, DeviceBuffer::allocate(size(rows, 2 * 4)));
  HADAL_ASSIGN_OR_RETURN(w.out, DeviceBuffer::allocate(size(tokens, 7168 * 2)));
  HADAL_ASSIGN_OR_RETURN(
      w.partials, DeviceBuffer::allocate(
                      4 * moe::gate_up_partial_floats(kRank, tokens, row_tile, split, blocks)));
  HADAL_ASSIGN_OR_RETURN(w.tickets,
                         DeviceBuffer::allocate(4 * moe::gate_up_tickets(kRank, tokens, row_tile)));
  HADAL_ASSIGN_OR_RETURN(w.expert_out, DeviceBuffer::allocate(size(rows, 7168 * 4)));
  HADAL_RETURN_IF_CUDA_ERROR(
      fill_random_fp8(w.x.as<std::uint8_t>(), w.x.size_bytes(), 5, stream.handle));
  HADAL_RETURN_IF_CUDA_ERROR(fill_random_float(w.x_scale.as<float>(), w.x_scale.size_bytes() / 4,
                                               0.01f, 0.02f, 6, stream.handle));
  HADAL_RETURN_IF_ERROR(w.tickets.fill(0, stream));
  return w;
}

// One number of tokens under one routing.
enum class Part { kAll, kGateUp };
struct Setting {
  int tokens;
  Skew skew;
  int row_tile;
  int split = 0;
  Part part = Part::kAll;
};

// The enqueue functions of the three kernels over `batches`.
class Runner {
 public:
  Runner(const Setting& setting, const Layer& layer, const Work& work,
         const std::vector<Batch>& batches, int blocks)
      : setting_(setting), layer_(layer), work_(work), batches_(batches), blocks_(blocks) {}

  Status plan(int i, LaunchOrder order, device::StreamView s) const {
    const Batch& b = batches_[static_cast<std::size_t>(i)];
    const moe::PlanParams p{kRank,
                            {b.ids.as<int>(), b.weights.as<float>(), setting_.tokens},
                            setting_.row_tile,
                            b.plan()};
    return HADAL_CUDA_STATUS(moe::launch_plan(p, order, s.handle));
  }
  Status gate_up(int i, bool generic, device::StreamView s) const {
    moe::GateUpParams p;
    p.stream.x = {work_.x.as<std::uint8_t>(), work_.x_scale.as<float>(),
                  (setting_.tokens + 3) / 4 * 4};
    p.stream.k = 7168;
    p.stream.row_tile = setting_.row_tile;
    p.stream.split_stages = setting_.split;
    p.stream.partials = work_.partials.as<float>();
    p.stream.tickets = work_.tickets.as<unsigned>();
    p.weights = {layer_.gate_up.as<std::uint8_t>(), layer_.gate_up_scale.as<float>()};
    p.shape = kRank;
    p.plan = batches_[static_cast<std::size_t>(i)].plan();
    p.tokens = setting_.tokens;
    p.hidden = hidden();
    if (generic) return HADAL_CUDA_STATUS(moe::launch_gate_up_generic(p, s.handle));
    return HADAL_CUDA_STATUS(
        moe::launch_gate_up_sm90(p, blocks_, LaunchOrder::kOverlapped, s.handle));
  }
  Status down(int i, bool generic, device::StreamView s) const {
    moe::DownParams p;
    p.hidden = hidden();
    p.weights = {layer_.down.as<std::uint8_t>(), layer_.down_scale.as<float>()};
    p.shape = kRank;
    p.plan = batches_[static_cast<std::size_t>(i)].plan();
    p.tokens = setting_.tokens;
    p.row_tile = setting_.row_tile;
    p.expert_out = work_.expert_out.as<float>();
    p.out = work_.out.as<__nv_bfloat16>();
    if (generic) return HADAL_CUDA_STATUS(moe::launch_down_generic(p, s.handle));
    return HADAL_CUDA_STATUS(moe::launch_down_sm90(p, LaunchOrder::kOverlapped, s.handle));
  }

 private:
  moe::Hidden hidden() const {
    return {work_.hidden.as<std::uint8_t>(), work_.hidden_scale.as<float>(),
            moe::rows_max(kRank, setting_.tokens)};
  }
  Setting setting_;
  const Layer& layer_;
  const Work& work_;
  const std::vector<Batch>& batches_;
  int blocks_;
};

Status bench_setting(Session& session, const Layer& layer, const Setting& setting, bool generic) {
  std::mt19937 random(static_cast<unsigned>(setting.tokens));
  std::vector<Batch> batches;
  double touched = 0;
  for (int i = 0; i < kRoutings; ++i) {
    HADAL_ASSIGN_OR_RETURN(Batch b,
                           make_batch(setting.tokens, setting.skew, random, session.stream));
    touched += b.experts_touched / static_cast<double>(kRoutings);
    batches.push_back(std::move(b));
  }
  HADAL_ASSIGN_OR_RETURN(const Work work, make_work(setting.tokens, setting.row_tile, setting.split,
                                                    session.multiprocessors, session.stream));
  const Runner runner(setting, layer, work, batches, session.multiprocessors);
  for (int i = 0; i < kRoutings; ++i)
    HADAL_RETURN_IF_ERROR(runner.plan(i, LaunchOrder::kSerial, session.stream));
  HADAL_RETURN_IF_ERROR(session.stream.synchronize());

  Case c;
  c.family = "moe";
  c.tokens = setting.tokens;
  c.variant = generic                      ? "generic"
              : setting.split > 0          ? fmt::format("split {}", setting.split)
              : setting.skew == Skew::kHot ? "hot"
                                           : "uniform";
  c.input_sets = kRoutings;
  const double rows = 9.0 * setting.tokens;
  const double gate_up_bytes = touched * 512 * 7168 * (1 + 1.0 / 4096);
  const double down_bytes = touched * 256 * 7168 * (1 + 1.0 / 4096);

  c.shape = "gate_up 512x7168";
  c.bytes = gate_up_bytes + setting.tokens * 7168.0 * 1.03 + rows * 264;
  c.flops = 2 * rows * 512 * 7168;
  c.set_bytes = gate_up_bytes;
  c.enqueue = [&](int i, device::StreamView s) { return runner.gate_up(i, generic, s); };
  HADAL_RETURN_IF_ERROR(run_case(session, c));
  if (setting.part == Part::kGateUp) return {};

  c.shape = "down 7168x256 + combine";
  c.bytes = down_bytes + rows * 264 + setting.tokens * 7168.0 * 2;
  c.flops = 2 * rows * 256 * 7168;
  c.set_bytes = down_bytes;
  c.enqueue = [&](int i, device::StreamView s) { return runner.down(i, generic, s); };
  HADAL_RETURN_IF_ERROR(run_case(session, c));
  if (generic) return {};

  c.shape = "gate_up, down";
  c.kernels = 2;
  c.bytes = gate_up_bytes + down_bytes + setting.tokens * 7168.0 * 3.03 + rows * 264;
  c.flops = 2 * rows * 3 * 256 * 7168;
  c.set_bytes = gate_up_bytes + down_bytes;
  c.enqueue = [&](int i, device::StreamView s) -> Status {
    HADAL_RETURN_IF_ERROR(runner.gate_up(i, false, s));
    return runner.down(i, false, s);
  };
  HADAL_RETURN_IF_ERROR(run_case(session, c));

  c.shape = "plan, gate_up, down";
  c.kernels = 3;
  c.enqueue = [&](int i, device::StreamView s) -> Status {
    HADAL_RETURN_IF_ERROR(runner.plan(i, LaunchOrder::kOverlapped, s));
    HADAL_RETURN_IF_ERROR(runner.gate_up(i, false, s));
    return runner.down(i, false, s);
  };
  return run_case(session, c);
}

}  // namespace

Status bench_moe(Session& session) {
  HADAL_ASSIGN_OR_RETURN(const Layer layer, make_layer(session.stream));
  for (const int tokens : {1, 4, 8, 32, 64, 256, 1024}) {
    const int tile = moe::row_tile_for(tokens);
    const int split = moe::gate_up_split_for(tokens, kRank);
    HADAL_RETURN_IF_ERROR(
        bench_setting(session, layer, {tokens, Skew::kUniform, tile, split}, false));
    if (tokens >= 32) {
      HADAL_RETURN_IF_ERROR(bench_setting(session, layer, {tokens, Skew::kHot, tile}, false));
    }
    HADAL_RETURN_IF_ERROR(bench_setting(
        session, layer, {tokens, Skew::kUniform, tile, 8 - split, Part::kGateUp}, false));
    if (tokens == 32) {
      HADAL_RETURN_IF_ERROR(bench_setting(session, layer, {tokens, Skew::kUniform, tile}, true));
    }
  }
  return {};
}

}  // namespace hadal::bench
