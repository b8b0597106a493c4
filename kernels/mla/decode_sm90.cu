// decode on Hopper: a warp fetches pages with bulk copies into a ring, the others compute.
//
//   out[column, 512] = softmax_t(scale * q[column, 576] . k[t, 576]) k[t, :512]
//
// A block is one part of the plan and one tile of columns; blocks of the same part and neighbouring
// tiles read the same pages at about the same time, so those come from L2.
//
//   fetch warp    | page 0 | page 1 | page 2 | ...      ring of `stages` pages, refilled in order
//   compute warps          | scores - max - weights - output | ...
//
// shared: columns x 1152 B queries, stages x 41,984 B (fp8) or 73,728 B (bf16), weights, maxima
//         fp8: 16 columns 103 KiB, two blocks a multiprocessor; 64 columns 206 KiB with 3 stages
// bytes:  656 or 1152 a token and tile group; 16 heads x 1 query do 2 x 16 x 1088 FLOP with them
// bound:  memory up to about 48 columns; at 64 the matrix instructions need about as long as HBM
#include "kernels/common/async_copy.cuh"
#include "kernels/common/pdl.cuh"
#include "kernels/mla/products_wgmma.cuh"

namespace hadal::kernels::mla {
namespace {

constexpr int kSharedBytesMax = 227 * 1024;  // of one block
constexpr int kSharedBytesMultiprocessor = 228 * 1024;
constexpr int kSharedBytesReserved = 1024;  // by the system, for every block
constexpr int kStagesMax = 4;

template <KvFormat kFormat, int kColumns>
struct BlockShape {
  using Tile = TileShape<kColumns>;
  static constexpr int kPageBytes = kv_page_bytes(kFormat);
  static constexpr int kFixedBytes = sizeof(TileShared<kColumns>) + alignof(TileShared<kColumns>);
  // Two small blocks take turns at the matrix units better than one of twice the warps.
  static constexpr int kBlocksWanted = kSharedBytesMultiprocessor / 2 - kSharedBytesReserved;
  static constexpr bool kTwoFit = kFixedBytes + 2 * kPageBytes <= kBlocksWanted;
  static constexpr int kBlocks = kTwoFit ? 2 : 1;
  // Registers are handed over by groups of 128 threads, so the fetch warp comes with three idle
  // ones and leaves its share to the compute warps.
  static constexpr int kThreads = Tile::kThreads + 128;
  static constexpr int kFetchRegisters = 40;
  static constexpr int kComputeRegisters = kBlocks == 2 ? 96 : 232;
  // What the launch gives a thread: its share of 64 K, in steps of 8. Asking for more than the
  // block has would wait forever.
  static constexpr int kLaunchRegisters = 65536 / kBlocks / kThreads / 8 * 8;
  static_assert(Tile::kThreads * kComputeRegisters + 128 * kFetchRegisters <=
                    kThreads * kLaunchRegisters,
                "the roles' registers must come out of the block's");
  static constexpr int kRoom = (kTwoFit ? kBlocksWanted : kSharedBytesMax) - kFixedBytes;
  static constexpr int kStages = kRoom / kPageBytes < kStagesMax ? kRoom / kPageBytes : kStagesMax;
  static_assert(kStages >= 2, "a page must be under way while one is read");
};

template <KvFormat kFormat, int kColumns>
struct Shared {
  static constexpr int kStages = BlockShape<kFormat, kColumns>::kStages;
  TileShared<kColumns> tile;  // first: the tensor cores want it 1024-aligned
  alignas(16) std::uint8_t pages[kStages][kv_page_bytes(kFormat)];
  std::uint64_t full[kStages];   // the page has landed
  std::uint64_t empty[kStages];  // every compute warp is done with it
};

// All 128 threads of a group together.
template <int kCount>
__device__ __forceinline__ void raise_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
__device__ __forceinline__ void lower_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}

// The work of one block, walked alike by both roles.
struct Work {
  int tile;
  int tile_count;
  int begin;  // segments
  int end;

  __device__ explicit Work(const DecodeParams& p) {
    tile_count = tiles(p.heads, p.queries_max);
    tile = static_cast<int>(blockIdx.x) % tile_count;
    const int part = static_cast<int>(blockIdx.x) / tile_count;
    begin = p.plan.part_starts[part];
    end = p.plan.part_starts[part + 1];
  }
};

// A page is contiguous in memory; only its rows in use are fetched. Pages that another tile's block
// reads as well stay in L2.
__device__ __forceinline__ void copy_page(std::uint8_t* to, const std::uint8_t* from, int bytes,
                                          bool read_once, std::uint64_t* full) {
  mbarrier_arrive_expect(full, bytes);
  if (read_once) {
    bulk_copy_streamed(to, from, bytes, full);
  } else {
    bulk_copy(to, from, bytes, full);
  }
}

// The fetch warp. Page ids are read 32 at a time.
template <KvFormat kFormat, int kColumns>
__device__ void fetch_pages(const DecodeParams& p, const Work& work,
                            Shared<kFormat, kColumns>& shared) {
  const int lane = threadIdx.x % 32;
  RingPosition ring;
  for (int i = work.begin; i < work.end; ++i) {
    const Segment segment = p.plan.segments[i];
    if (tile_of_row(segment, p.heads, work.tile, kColumns).count == 0) continue;
    const int* ids = p.page_table + static_cast<std::ptrdiff_t>(segment.slot) * p.pages_per_slot;
    for (int first = segment.page_begin; first < segment.page_end; first += 32) {
      const int count = min(32, segment.page_end - first);
      const int mine = lane < count ? ids[first + lane] : 0;
      for (int k = 0; k < count; ++k) {
        const std::size_t id = __shfl_sync(~0u, mine, k);
        if (lane == 0) {
          mbarrier_wait(&shared.empty[ring.stage], ring.parity ^ 1);
          copy_page(shared.pages[ring.stage], p.pages + id * kv_page_bytes(kFormat),
                    page_entries(segment, first + k) * kv_token_bytes(kFormat),
                    work.tile_count == 1, &shared.full[ring.stage]);
        }
        ring.advance(Shared<kFormat, kColumns>::kStages);
      }
    }
  }
}

// The compute warps.
template <KvFormat kFormat, int kColumns>
__device__ void compute(const DecodeParams& p, const Work& work,
                        Shared<kFormat, kColumns>& shared) {
  TileMath<kFormat, kColumns, WgmmaProducts<kFormat, kColumns>> math(shared.tile, p.softmax_scale);
  RingPosition ring;
  // Queries, and outputs that the predecessor may still be reading. Pages were written earlier.
  wait_for_predecessor();
  for (int i = work.begin; i < work.end; ++i) {
    const Segment segment = p.plan.segments[i];
    const TileColumns columns = tile_of_row(segment, p.heads, work.tile, kColumns);
    if (columns.count == 0) continue;
    math.start(columns, p.q_latent, p.q_rope);
    for (int page = segment.page_begin; page < segment.page_end; ++page) {
      const int valid = page_entries(segment, page);
      mbarrier_wait(&shared.full[ring.stage], ring.parity);
      math.attend(shared.pages[ring.stage], page * kPageTokens, valid);
      // The next bulk copy must not overtake the clearing of rows that hold no token.
      if (valid < kPageTokens) fence_async_proxy();
      __syncwarp();
      if (threadIdx.x % 32 == 0) mbarrier_arrive(&shared.empty[ring.stage]);
      ring.advance(Shared<kFormat, kColumns>::kStages);
    }
    finish_segment<kColumns>(math, p, segment, work.tile, work.tile_count);
  }
}

template <KvFormat kFormat, int kColumns>
__global__ void __launch_bounds__(BlockShape<kFormat, kColumns>::kThreads,
                                  BlockShape<kFormat, kColumns>::kBlocks)
    decode_kernel(DecodeParams p) {
  using Tile = TileShape<kColumns>;
  using Block = BlockShape<kFormat, kColumns>;
  extern __shared__ __align__(1024) std::uint8_t bytes[];
  auto& shared = *reinterpret_cast<Shared<kFormat, kColumns>*>(bytes);
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Shared<kFormat, kColumns>::kStages; ++stage) {
      mbarrier_init(&shared.full[stage], 1);
      mbarrier_init(&shared.empty[stage], Tile::kWarps);
    }
    fence_barrier_init();
  }
  __syncthreads();
  let_successor_start();
  const Work work(p);
  if (threadIdx.x < Tile::kThreads) {
    raise_registers<Block::kComputeRegisters>();
    compute<kFormat, kColumns>(p, work, shared);
  } else {
    lower_registers<Block::kFetchRegisters>();
    if (threadIdx.x / 32 == Tile::kWarps) fetch_pages<kFormat, kColumns>(p, work, shared);
  }
}

template <KvFormat kFormat, int kColumns>
cudaError_t launch_instance(const DecodeParams& params, LaunchOrder order, cudaStream_t stream) {
  const LaunchShape shape = {
      .blocks = static_cast<unsigned>(params.parts * tiles(params.heads, params.queries_max)),
      .threads = BlockShape<kFormat, kColumns>::kThreads,
      .shared_bytes = sizeof(Shared<kFormat, kColumns>)};
  return launch(decode_kernel<kFormat, kColumns>, params, shape, order, stream);
}

template <KvFormat kFormat>
cudaError_t launch_format(const DecodeParams& params, LaunchOrder order, cudaStream_t stream) {
  switch (tile_columns(params.heads, params.queries_max)) {
    case 16:
      return launch_instance<kFormat, 16>(params, order, stream);
    case 32:
      return launch_instance<kFormat, 32>(params, order, stream);
    case 48:
      return launch_instance<kFormat, 48>(params, order, stream);
    default:
      return launch_instance<kFormat, 64>(params, order, stream);
  }
}

template <KvFormat kFormat>
constexpr int blocks_a_multiprocessor(int columns) {
  return columns == 16 ? BlockShape<kFormat, 16>::kBlocks : BlockShape<kFormat, 32>::kBlocks;
}

}  // namespace

cudaError_t launch_decode_sm90(const DecodeParams& params, LaunchOrder order, cudaStream_t stream) {
  if (!legal(params)) return cudaErrorInvalidValue;
  if (params.rows == 0) return cudaSuccess;
  return params.format == KvFormat::kFp8 ? launch_format<KvFormat::kFp8>(params, order, stream)
                                         : launch_format<KvFormat::kBf16>(params, order, stream);
}

int decode_parts(KvFormat format, int heads, int queries_max, int multiprocessors) {
  const int columns = tile_columns(heads, queries_max);
  const int blocks = multiprocessors * (format == KvFormat::kFp8
                                            ? blocks_a_multiprocessor<KvFormat::kFp8>(columns)
                                            : blocks_a_multiprocessor<KvFormat::kBf16>(columns));
  const int parts = blocks / tiles(heads, queries_max);
  return parts > 0 ? parts : 1;
}

}  // namespace hadal::kernels::mla
