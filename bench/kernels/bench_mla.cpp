// MLA decode (with its combine, as a step runs them) and the split plan.
#include <cuda_bf16.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "hadal/device/buffer.h"
#include "hadal/device/error.h"
#include "kernels/data.h"
#include "kernels/families.h"
#include "kernels/mla/mla.h"

namespace hadal::bench {
namespace {

using device::DeviceBuffer;
using kernels::KvFormat;
using kernels::LaunchOrder;
namespace mla = kernels::mla;

constexpr double kRotationBytes = 400e6;
constexpr int kSetsMax = 512;

struct MlaShape {
  std::vector<int> contexts;  // one a row
  int queries = 1;
  int heads = 16;
  KvFormat format = KvFormat::kFp8;
  int split_pages = 0;
  bool generic = false;
  const char* name = "";
};

// Device data of one shape. The input sets share queries and plan and differ in their pages.
struct MlaData {
  int pages_per_slot = 0;
  int sets = 0;
  DeviceBuffer row_starts, positions, slots;
  DeviceBuffer page_tables;    // [sets, rows, pages_per_slot]
  DeviceBuffer pages, q, out;  // q: the latent parts, then the rope parts
  DeviceBuffer part_starts, segments, split_rows, split_count, partial_out, partial_stats;
};

std::size_t product(std::initializer_list<int> factors) {
  std::size_t value = 1;
  for (const int f : factors) value *= static_cast<std::size_t>(f);
  return value;
}

Result<DeviceBuffer> upload(const std::vector<int>& values, device::StreamView stream) {
  HADAL_ASSIGN_OR_RETURN(DeviceBuffer buffer, DeviceBuffer::allocate(values.size() * 4));
  HADAL_RETURN_IF_ERROR(device::copy(buffer.as<void>(), values.data(), values.size() * 4, stream));
  HADAL_RETURN_IF_ERROR(stream.synchronize());
  return buffer;
}

double cache_bytes(const MlaShape& shape) {
  double tokens = 0;
  for (const int context : shape.contexts) tokens += context;
  return tokens * kernels::kv_token_bytes(shape.format);
}

// Every set has pages of its own, scattered over the pool.
Status make_pages(const MlaShape& shape, MlaData& data, device::StreamView stream) {
  int set_pages = 0;
  for (const int context : shape.contexts) {
    const int pages = kernels::ceil_div(context, kernels::kPageTokens);
    set_pages += pages;
    data.pages_per_slot = std::max(data.pages_per_slot, pages);
  }
  data.sets = std::clamp(static_cast<int>(kRotationBytes / cache_bytes(shape)) + 1, 2, kSetsMax);
  std::vector<int> ids(product({data.sets, set_pages}));
  std::iota(ids.begin(), ids.end(), 0);
  std::shuffle(ids.begin(), ids.end(), std::mt19937(1));
  const int rows = static_cast<int>(shape.contexts.size());
  std::vector<int> tables(product({data.sets, rows, data.pages_per_slot}), 0);
  std::size_t next = 0;
  for (std::size_t line = 0; line < product({data.sets, rows}); ++line) {
    const int context = shape.contexts[line % shape.contexts.size()];
    for (int page = 0; page < kernels::ceil_div(context, kernels::kPageTokens); ++page) {
      tables[line * static_cast<std::size_t>(data.pages_per_slot) +
             static_cast<std::size_t>(page)] = ids[next++];
    }
  }
  HADAL_ASSIGN_OR_RETURN(data.page_tables, upload(tables, stream));
  HADAL_ASSIGN_OR_RETURN(
      data.pages, DeviceBuffer::allocate(
                      ids.size() * static_cast<std::size_t>(kernels::kv_page_bytes(shape.format))));
  if (shape.format == KvFormat::kBf16) {
    return HADAL_CUDA_STATUS(fill_random_bf16(data.pages.as<std::uint16_t>(),
                                              data.pages.size_bytes() / 2, 1.0f, 1, stream.handle));
  }
  return HADAL_CUDA_STATUS(fill_random_cache_fp8(
      data.pages.as<std::uint8_t>(), ids.size() * kernels::kPageTokens, 1, stream.handle));
}

Status make_rows(const MlaShape& shape, MlaData& data, device::StreamView stream) {
  std::vector<int> starts{0};
  std::vector<int> positions;
  std::vector<int> slots;
  for (std::size_t row = 0; row < shape.contexts.size(); ++row) {
    for (int i = 0; i < shape.queries; ++i) {
      positions.push_back(shape.contexts[row] - shape.queries + i);
      slots.push_back(static_cast<int>(row));
    }
    starts.push_back(static_cast<int>(positions.size()));
  }
  HADAL_ASSIGN_OR_RETURN(data.row_starts, upload(starts, stream));
  HADAL_ASSIGN_OR_RETURN(data.positions, upload(positions, stream));
  HADAL_ASSIGN_OR_RETURN(data.slots, upload(slots, stream));
  const std::size_t columns = product({starts.back(), shape.heads});
  HADAL_ASSIGN_OR_RETURN(data.q, DeviceBuffer::allocate(columns * kernels::kLatentRope * 2));
  HADAL_ASSIGN_OR_RETURN(data.out, DeviceBuffer::allocate(columns * kernels::kLatent * 2));
  return HADAL_CUDA_STATUS(fill_random_bf16(
      data.q.as<std::uint16_t>(), columns * kernels::kLatentRope, 0.3f, 2, stream.handle));
}

Status make_scratch(const MlaShape& shape, MlaData& data, int parts) {
  const int rows = static_cast<int>(shape.contexts.size());
  const int segments = mla::segments_max(rows, parts, shape.split_pages, data.pages_per_slot);
  const std::size_t columns = product({segments, mla::tiles(shape.heads, shape.queries),
                                       mla::tile_columns(shape.heads, shape.queries)});
  HADAL_ASSIGN_OR_RETURN(data.part_starts, DeviceBuffer::allocate(product({parts + 1, 4})));
  HADAL_ASSIGN_OR_RETURN(data.segments,
                         DeviceBuffer::allocate(product({segments}) * sizeof(mla::Segment)));
  HADAL_ASSIGN_OR_RETURN(data.split_rows,
                         DeviceBuffer::allocate(product({rows}) * sizeof(mla::SplitRow)));
  HADAL_ASSIGN_OR_RETURN(data.split_count, DeviceBuffer::allocate(4));
  HADAL_ASSIGN_OR_RETURN(data.partial_out, DeviceBuffer::allocate(columns * kernels::kLatent * 4));
  HADAL_ASSIGN_OR_RETURN(data.partial_stats, DeviceBuffer::allocate(columns * sizeof(float2)));
  return {};
}

mla::DecodeParams decode_params(const MlaShape& shape, const MlaData& data, int parts) {
  mla::DecodeParams p;
  p.rows = static_cast<int>(shape.contexts.size());
  p.plan = {data.part_starts.as<int>(), data.segments.as<mla::Segment>(),
            data.split_rows.as<mla::SplitRow>(), data.split_count.as<int>()};
  p.q_latent = data.q.as<__nv_bfloat16>();
  p.q_rope = p.q_latent + data.q.size_bytes() / 2 / kernels::kLatentRope * kernels::kLatent;
  p.pages = data.pages.as<std::uint8_t>();
  p.pages_per_slot = data.pages_per_slot;
  p.heads = shape.heads;
  p.queries_max = shape.queries;
  p.parts = parts;
  p.softmax_scale = 0.13523378f;
  p.format = shape.format;
  p.partials = {data.partial_out.as<float>(), data.partial_stats.as<float2>()};
  p.out = data.out.as<__nv_bfloat16>();
  return p;
}

mla::PlanParams plan_params(const MlaShape& shape, const MlaData& data,
                            const mla::DecodeParams& p) {
  return {{data.row_starts.as<int>(), data.positions.as<int>(), data.slots.as<int>(), p.rows},
          p.plan,
          p.parts,
          shape.split_pages};
}

Status enqueue_decode(const MlaShape& shape, mla::DecodeParams p, int multiprocessors,
                      device::StreamView stream) {
  if (shape.generic) {
    HADAL_RETURN_IF_CUDA_ERROR(mla::launch_decode_generic(p, stream.handle));
  } else {
    HADAL_RETURN_IF_CUDA_ERROR(mla::launch_decode_sm90(p, LaunchOrder::kOverlapped, stream.handle));
  }
  return HADAL_CUDA_STATUS(
      mla::launch_combine(p, multiprocessors, LaunchOrder::kOverlapped, stream.handle));
}

Case describe(const MlaShape& shape, const MlaData& data) {
  Case c;
  c.family = "mla";
  const int rows = static_cast<int>(shape.contexts.size());
  const double columns = static_cast<double>(rows) * shape.queries * shape.heads;
  double pairs = 0;
  for (const int context : shape.contexts) {
    pairs += static_cast<double>(context) * shape.queries * shape.heads;
  }
  c.shape = fmt::format("{} {} rows x {} q, {}", shape.name, rows, shape.queries,
                        shape.format == KvFormat::kFp8 ? "fp8" : "bf16");
  c.tokens = rows * shape.queries;
  c.variant = fmt::format("{} h{}{}", shape.generic ? "generic" : "sm90", shape.heads,
                          shape.split_pages > 0 ? fmt::format(" split {}", shape.split_pages) : "");
  c.bound = shape.heads > 16 ? Bound::kBf16 : Bound::kRead;
  c.bytes = cache_bytes(shape) + columns * 2 * (kernels::kLatentRope + kernels::kLatent);
  c.flops = pairs * 2 * (kernels::kLatentRope + kernels::kLatent);
  c.kernels = 2;
  c.input_sets = data.sets;
  c.set_bytes = cache_bytes(shape);
  return c;
}

Status bench_shape(Session& session, const MlaShape& shape) {
  const int parts =
      mla::decode_parts(shape.format, shape.heads, shape.queries, session.multiprocessors);
  MlaData data;
  HADAL_RETURN_IF_ERROR(make_pages(shape, data, session.stream));
  HADAL_RETURN_IF_ERROR(make_rows(shape, data, session.stream));
  HADAL_RETURN_IF_ERROR(make_scratch(shape, data, parts));
  const mla::DecodeParams p = decode_params(shape, data, parts);
  HADAL_RETURN_IF_CUDA_ERROR(
      mla::launch_plan(plan_params(shape, data, p), LaunchOrder::kSerial, session.stream.handle));
  Case c = describe(shape, data);
  c.enqueue = [&](int set, device::StreamView stream) -> Status {
    mla::DecodeParams of_set = p;
    of_set.page_table = data.page_tables.as<int>() + product({set, p.rows, data.pages_per_slot});
    return enqueue_decode(shape, of_set, session.multiprocessors, stream);
  };
  return run_case(session, c);
}

Status bench_plan(Session& session, int rows) {
  MlaShape shape{std::vector<int>(static_cast<std::size_t>(rows), 1500)};
  for (std::size_t i = 0; i < shape.contexts.size(); ++i)
    shape.contexts[i] += static_cast<int>(i % 100);
  MlaData data;
  data.pages_per_slot = 25;
  const int parts = mla::decode_parts(shape.format, 16, 1, session.multiprocessors);
  HADAL_RETURN_IF_ERROR(make_rows(shape, data, session.stream));
  HADAL_RETURN_IF_ERROR(make_scratch(shape, data, parts));
  const mla::DecodeParams p = decode_params(shape, data, parts);
  Case c;
  c.family = "mla";
  c.shape = fmt::format("plan {} rows", rows);
  c.tokens = rows;
  c.variant = "once a step";
  c.bytes = 12.0 * rows;
  c.input_sets = 1;
  c.set_bytes = 1e12;  // reads nothing that could be in the wrong cache
  c.enqueue = [&](int, device::StreamView stream) -> Status {
    return HADAL_CUDA_STATUS(
        mla::launch_plan(plan_params(shape, data, p), LaunchOrder::kOverlapped, stream.handle));
  };
  return run_case(session, c);
}

std::vector<int> equal(int rows, int context) {
  return std::vector<int>(static_cast<std::size_t>(rows), context);
}
// Mean 1,536, from 256 to 2,816.
std::vector<int> ragged(int rows) {
  std::mt19937 random(3);
  std::vector<int> contexts(static_cast<std::size_t>(rows));
  for (int& c : contexts) c = 256 + static_cast<int>(random() % 2561);
  return contexts;
}

}  // namespace

Status bench_mla(Session& session) {
  constexpr KvFormat kFp8 = KvFormat::kFp8;
  constexpr KvFormat kBf16 = KvFormat::kBf16;
  std::vector<MlaShape> shapes;
  for (const int rows : {1, 4, 8, 32, 64, 128, 256}) {
    shapes.push_back({.contexts = equal(rows, 1536), .name = "1536"});
  }
  for (const int rows : {1, 32, 256}) {
    shapes.push_back({.contexts = equal(rows, 1536), .queries = 4, .name = "1536"});
  }
  shapes.push_back({.contexts = equal(256, 1536), .queries = 2, .name = "1536"});
  shapes.push_back({.contexts = equal(64, 1536), .queries = 8, .name = "1536"});
  shapes.push_back({.contexts = equal(8, 32768), .name = "32768"});
  shapes.push_back({.contexts = ragged(256), .name = "ragged"});
  shapes.push_back({.contexts = ragged(64), .name = "ragged"});
  shapes.push_back({.contexts = ragged(256), .queries = 4, .name = "ragged"});
  for (const int rows : {1, 32, 256}) {
    shapes.push_back({.contexts = equal(rows, 1536), .format = kBf16, .name = "1536"});
  }
  shapes.push_back({.contexts = equal(256, 1536), .queries = 4, .format = kBf16, .name = "1536"});
  for (const int rows : {32, 128}) {
    shapes.push_back({.contexts = equal(rows, 1536), .heads = 128, .name = "1536"});
  }
  shapes.push_back({.contexts = equal(32, 4096), .heads = 128, .format = kBf16, .name = "4096"});
  for (const int rows : {1, 8, 32, 256}) {
    shapes.push_back(
        {.contexts = equal(rows, 1536), .format = kFp8, .split_pages = 8, .name = "1536"});
  }
  shapes.push_back({.contexts = equal(8, 32768), .split_pages = 8, .name = "32768"});
  shapes.push_back({.contexts = equal(256, 1536), .generic = true, .name = "1536"});
  shapes.push_back({.contexts = equal(256, 1536), .queries = 4, .generic = true, .name = "1536"});
  for (const MlaShape& shape : shapes) HADAL_RETURN_IF_ERROR(bench_shape(session, shape));
  for (const int rows : {1, 32, 256}) HADAL_RETURN_IF_ERROR(bench_plan(session, rows));
  return {};
}

}  // namespace hadal::bench
