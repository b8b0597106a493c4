// decode, for every architecture: one block a part and tile, one page in shared memory at a time.
//
// The slow twin on the device: no pipeline, so fetching and computing take turns. The math is that
// of the sm90 kernel (tile.cuh).
//
// shared: at 64 columns queries 72 KiB + page 41 KiB (fp8) or 72 KiB (bf16) + weights 9 KiB
#include "kernels/common/async_copy.cuh"
#include "kernels/common/pdl.cuh"
#include "kernels/mla/products_mma.cuh"

namespace hadal::kernels::mla {
namespace {

template <KvFormat kFormat, int kColumns>
struct GenericShared {
  TileShared<kColumns> tile;
  alignas(16) std::uint8_t page[kv_page_bytes(kFormat)];
};

// The rows in use of a page.
template <int kThreads>
__device__ void fetch_page(std::uint8_t* to, const std::uint8_t* from, int bytes) {
  for (int byte = 16 * static_cast<int>(threadIdx.x); byte < bytes; byte += 16 * kThreads) {
    cp_async_16(to + byte, from + byte);
  }
  cp_async_commit();
  cp_async_wait<0>();
}

template <KvFormat kFormat, int kColumns>
__global__ void __launch_bounds__(TileShape<kColumns>::kThreads) decode_kernel(DecodeParams p) {
  constexpr int kThreads = TileShape<kColumns>::kThreads;
  extern __shared__ __align__(1024) std::uint8_t bytes[];
  auto& shared = *reinterpret_cast<GenericShared<kFormat, kColumns>*>(bytes);
  wait_for_predecessor();
  let_successor_start();
  const int tile_count = tiles(p.heads, p.queries_max);
  const int part = blockIdx.x / tile_count;
  const int tile = blockIdx.x % tile_count;
  TileMath<kFormat, kColumns, MmaProducts<kFormat, kColumns>> math(shared.tile, p.softmax_scale);
  for (int i = p.plan.part_starts[part]; i < p.plan.part_starts[part + 1]; ++i) {
    const Segment segment = p.plan.segments[i];
    const TileColumns columns = tile_of_row(segment, p.heads, tile, kColumns);
    if (columns.count == 0) continue;
    math.start(columns, p.q_latent, p.q_rope);
    for (int page = segment.page_begin; page < segment.page_end; ++page) {
      const int entries = page_entries(segment, page);
      const int id = p.page_table[static_cast<std::size_t>(segment.slot) * p.pages_per_slot + page];
      __syncthreads();  // the last page is no longer read
      fetch_page<kThreads>(shared.page,
                           p.pages + static_cast<std::size_t>(id) * kv_page_bytes(kFormat),
                           entries * kv_token_bytes(kFormat));
      __syncthreads();
      math.attend(shared.page, page * kPageTokens, entries);
    }
    finish_segment<kColumns>(math, p, segment, tile, tile_count);
    __syncthreads();
  }
}

template <KvFormat kFormat, int kColumns>
cudaError_t launch_instance(const DecodeParams& params, cudaStream_t stream) {
  const LaunchShape shape = {
      .blocks = static_cast<unsigned>(params.parts * tiles(params.heads, params.queries_max)),
      .threads = TileShape<kColumns>::kThreads,
      .shared_bytes = sizeof(GenericShared<kFormat, kColumns>)};
  return launch(decode_kernel<kFormat, kColumns>, params, shape, LaunchOrder::kSerial, stream);
}

template <KvFormat kFormat>
cudaError_t launch_format(const DecodeParams& params, cudaStream_t stream) {
  switch (tile_columns(params.heads, params.queries_max)) {
    case 16:
      return launch_instance<kFormat, 16>(params, stream);
    case 32:
      return launch_instance<kFormat, 32>(params, stream);
    case 48:
      return launch_instance<kFormat, 48>(params, stream);
    default:
      return launch_instance<kFormat, 64>(params, stream);
  }
}

}  // namespace

cudaError_t launch_decode_generic(const DecodeParams& params, cudaStream_t stream) {
  if (!legal(params)) return cudaErrorInvalidValue;
  if (params.rows == 0) return cudaSuccess;
  return params.format == KvFormat::kFp8 ? launch_format<KvFormat::kFp8>(params, stream)
                                         : launch_format<KvFormat::kBf16>(params, stream);
}

}  // namespace hadal::kernels::mla
