// MLA decode: 16 heads (one TP8 rank) and 128 heads (attention data parallelism).
#include <cuda_bf16.h>
#include <fmt/format.h>

#include <algorithm>
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

struct Setting {
  int sequences;
  int context;
  int query_tokens = 1;
  int heads = 16;
  KvFormat format = KvFormat::kFp8;
  bool ragged = false;  // contexts from a tenth to 1.9 times `context`, same mean
  int split_pages = 0;
  bool generic = false;
};

std::size_t size(int a, int b) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

std::vector<int> contexts_of(const Setting& s) {
  std::vector<int> contexts;
  for (int i = 0; i < s.sequences; ++i) {
    const double place = s.sequences > 1 ? static_cast<double>(i) / (s.sequences - 1) : 0.5;
    contexts.push_back(s.ragged ? static_cast<int>(s.context * (0.1 + 1.8 * place)) : s.context);
  }
  std::mt19937 random(1);
  std::shuffle(contexts.begin(), contexts.end(), random);
  return contexts;
}

struct Buffers {
  DeviceBuffer cache, q_latent, q_rope, context, before, tables, partial_out, partial_stats, out;
  int table_stride = 0;
};

Status fill_cache(const DeviceBuffer& cache, KvFormat format, device::StreamView stream) {
  if (format == KvFormat::kBf16) {
    return HADAL_CUDA_STATUS(fill_random_bf16(cache.as<std::uint16_t>(), cache.size_bytes() / 2,
                                              1.0f, 1, stream.handle));
  }
  return HADAL_CUDA_STATUS(
      fill_random_cache_fp8(cache.as<std::uint8_t>(), cache.size_bytes() / 656, 1, stream.handle));
}

Result<Buffers> make_buffers(const Setting& s, const std::vector<int>& contexts, int pages_of_set,
                             int sets, int blocks, device::StreamView stream) {
  const int rows = s.query_tokens * s.heads;
  const int tile = mla::row_tile_for(rows, s.format);
  const int longest = *std::max_element(contexts.begin(), contexts.end());
  const std::size_t slots =
      mla::slots_max(s.sequences, rows, s.format, s.split_pages, longest, blocks);
  Buffers b;
  b.table_stride = longest / kernels::kPageTokens + 1;
  HADAL_ASSIGN_OR_RETURN(
      b.cache, DeviceBuffer::allocate(size(pages_of_set * sets, kernels::kv_page_bytes(s.format))));
  HADAL_ASSIGN_OR_RETURN(b.q_latent, DeviceBuffer::allocate(size(s.sequences * rows, 1024)));
  HADAL_ASSIGN_OR_RETURN(b.q_rope, DeviceBuffer::allocate(size(s.sequences * rows, 128)));
  HADAL_ASSIGN_OR_RETURN(b.context, DeviceBuffer::allocate(contexts.size() * 4));
  HADAL_ASSIGN_OR_RETURN(b.before, DeviceBuffer::allocate(contexts.size() * 4 + 4));
  HADAL_ASSIGN_OR_RETURN(b.tables,
                         DeviceBuffer::allocate(size(sets * s.sequences, b.table_stride * 4)));
  HADAL_ASSIGN_OR_RETURN(b.partial_out, DeviceBuffer::allocate(slots * size(tile, 2048)));
  HADAL_ASSIGN_OR_RETURN(b.partial_stats, DeviceBuffer::allocate(slots * size(tile, 8)));
  HADAL_ASSIGN_OR_RETURN(b.out, DeviceBuffer::allocate(size(s.sequences * rows, 1024)));
  HADAL_RETURN_IF_ERROR(fill_cache(b.cache, s.format, stream));
  HADAL_RETURN_IF_CUDA_ERROR(fill_random_bf16(b.q_latent.as<std::uint16_t>(),
                                              b.q_latent.size_bytes() / 2, 1.0f, 2, stream.handle));
  HADAL_RETURN_IF_CUDA_ERROR(fill_random_bf16(b.q_rope.as<std::uint16_t>(),
                                              b.q_rope.size_bytes() / 2, 1.0f, 3, stream.handle));
  // Pages in random order within a set, as a server's are after a while.
  std::vector<int> tables;
  std::mt19937 random(2);
  for (int set = 0; set < sets; ++set) {
    std::vector<int> ids(static_cast<std::size_t>(pages_of_set));
    for (int i = 0; i < pages_of_set; ++i)
      ids[static_cast<std::size_t>(i)] = set * pages_of_set + i;
    std::shuffle(ids.begin(), ids.end(), random);
    std::size_t next = 0;
    for (const int context : contexts) {
      const int pages = kernels::ceil_div(context, kernels::kPageTokens);
      for (int i = 0; i < b.table_stride; ++i) tables.push_back(i < pages ? ids[next++] : 0);
    }
  }
  HADAL_RETURN_IF_ERROR(
      device::copy(b.tables.as<void>(), tables.data(), tables.size() * 4, stream));
  HADAL_RETURN_IF_ERROR(
      device::copy(b.context.as<void>(), contexts.data(), contexts.size() * 4, stream));
  HADAL_RETURN_IF_ERROR(stream.synchronize());
  return b;
}

std::string name_of(const Setting& s) {
  return fmt::format("{} heads ctx {}{}{}", s.heads, s.context, s.ragged ? " ragged" : "",
                     s.format == KvFormat::kBf16 ? " bf16" : "");
}

Status bench_setting(Session& session, const Setting& s) {
  const std::vector<int> contexts = contexts_of(s);
  double tokens = 0;
  int pages = 0;
  for (const int context : contexts) {
    tokens += context;
    pages += kernels::ceil_div(context, kernels::kPageTokens);
  }
  const int rows = s.query_tokens * s.heads;
  Case c;
  c.family = "mla";
  c.shape = name_of(s);
  c.tokens = s.sequences * s.query_tokens;
  c.variant = fmt::format("{}x{}{}{}", s.sequences, s.query_tokens, s.generic ? " generic" : "",
                          s.split_pages > 0 ? fmt::format(" split {}", s.split_pages) : "");
  c.kernels = 2;
  c.bytes = tokens * kernels::kv_token_bytes(s.format) +
            static_cast<double>(s.sequences) * rows * (kernels::kLatentRope + kernels::kLatent) * 2;
  c.flops = 2 * tokens * rows * (kernels::kLatentRope + kernels::kLatent);
  c.bound = s.heads == 128 ? Bound::kBf16 : Bound::kRead;
  c.set_bytes = tokens * kernels::kv_token_bytes(s.format);
  c.input_sets = std::clamp(static_cast<int>(kRotationBytes / c.set_bytes) + 1, 1, 512);
  HADAL_ASSIGN_OR_RETURN(const Buffers b, make_buffers(s, contexts, pages, c.input_sets,
                                                       session.multiprocessors, session.stream));
  HADAL_RETURN_IF_CUDA_ERROR(
      mla::launch_plan({b.context.as<int>(), s.sequences, s.split_pages, b.before.as<int>()},
                       LaunchOrder::kSerial, session.stream.handle));
  HADAL_RETURN_IF_ERROR(session.stream.synchronize());
  c.enqueue = [&](int set, device::StreamView stream) -> Status {
    mla::Params p;
    p.q_latent = b.q_latent.as<__nv_bfloat16>();
    p.q_rope = b.q_rope.as<__nv_bfloat16>();
    p.cache = b.cache.as<std::uint8_t>();
    p.format = s.format;
    p.page_table = b.tables.as<int>() + size(set * s.sequences, b.table_stride);
    p.page_table_stride = b.table_stride;
    p.context = b.context.as<int>();
    p.grains_before = b.before.as<int>();
    p.sequences = s.sequences;
    p.query_tokens = s.query_tokens;
    p.heads = s.heads;
    p.scale = 0.1f;
    p.split_pages = s.split_pages;
    p.blocks = session.multiprocessors;
    p.partial_out = b.partial_out.as<float>();
    p.partial_stats = b.partial_stats.as<float2>();
    p.out = b.out.as<__nv_bfloat16>();
    if (s.generic) return HADAL_CUDA_STATUS(mla::launch_generic(p, stream.handle));
    return HADAL_CUDA_STATUS(mla::launch_sm90(p, LaunchOrder::kOverlapped, stream.handle));
  };
  return run_case(session, c);
}

}  // namespace

Status bench_mla(Session& session) {
  constexpr Setting kSettings[] = {
      {.sequences = 1, .context = 1536},
      {.sequences = 8, .context = 1536},
      {.sequences = 32, .context = 1536},
      {.sequences = 256, .context = 1536},
      {.sequences = 256, .context = 1536, .ragged = true},
      {.sequences = 256, .context = 1536, .split_pages = 8},
      {.sequences = 256, .context = 1536, .generic = true},
      {.sequences = 8, .context = 1536, .query_tokens = 4},
      {.sequences = 256, .context = 1536, .query_tokens = 2},
      {.sequences = 256, .context = 1536, .query_tokens = 4},
      {.sequences = 8, .context = 32768},
      {.sequences = 8, .context = 32768, .query_tokens = 4},
      {.sequences = 256, .context = 1536, .format = KvFormat::kBf16},
      {.sequences = 256, .context = 1536, .query_tokens = 4, .format = KvFormat::kBf16},
      {.sequences = 32, .context = 1536, .heads = 128},
      {.sequences = 32, .context = 4096, .heads = 128, .format = KvFormat::kBf16},
  };
  for (const Setting& setting : kSettings) HADAL_RETURN_IF_ERROR(bench_setting(session, setting));
  return {};
}

}  // namespace hadal::bench
