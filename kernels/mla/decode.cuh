// The decode kernel around attend.cuh: how pages come to shared memory, and the loop over segments.
#pragma once

#include <type_traits>

#include "kernels/mla/attend.cuh"

namespace hadal::kernels::mla {

// Bulk copies: thread 0 walks the block's pages a few ahead of the computation.
template <typename S>
class BulkPages {
 public:
  __device__ BulkPages(const Params& p, int row_tiles, const Shared<S>& shared)
      : params_(p), shared_(shared), cursor_(p, row_tiles) {
    if (threadIdx.x == 0) {
      for (int stage = 0; stage < S::kStages; ++stage) mbarrier_init(&shared.full[stage], 1);
      fence_barrier_init();
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      enter_next_segment();
      for (int stage = 0; stage < S::kStages; ++stage) fetch(stage);
    }
  }

  __device__ int wait(int count) const {
    mbarrier_wait(&shared_.full[count % S::kStages], count / S::kStages & 1);
    return count % S::kStages;
  }
  // All threads have done with page `count - 1`: its place may be filled.
  __device__ void free_before(int count) {
    if (threadIdx.x == 0 && count > 0) fetch((count - 1) % S::kStages);
  }
  static __device__ void request(const Segment&, int) {}

 private:
  __device__ void enter_next_segment() {
    more_ = cursor_.next(segment_);
    page_ = segment_.page_begin;
    if (!more_) return;
    context_ = params_.context[segment_.sequence];
    load_id();
  }
  __device__ void load_id() {
    id_ =
        params_.page_table[static_cast<std::size_t>(segment_.sequence) * params_.page_table_stride +
                           page_];
  }
  __device__ void fetch(int stage) {
    if (!more_) return;
    const int tokens = min(kPageTokens, context_ - page_ * kPageTokens);
    const int bytes = tokens * S::kTokenBytes;
    mbarrier_arrive_expect(&shared_.full[stage], bytes);
    bulk_copy_streamed(shared_.page(stage),
                       params_.cache + static_cast<std::size_t>(id_) * S::kPageBytes, bytes,
                       &shared_.full[stage]);
    // The next id is on its way while this page is computed.
    if (++page_ < segment_.page_end) {
      load_id();
    } else {
      enter_next_segment();
    }
  }

  const Params& params_;
  const Shared<S>& shared_;
  SegmentCursor cursor_;
  Segment segment_;
  bool more_ = false;
  int context_ = 0;
  int page_ = 0;
  int id_ = 0;
};

// Plain loads by all threads, one page at a time: for architectures without the copy engine.
template <typename S>
class PlainPages {
 public:
  __device__ PlainPages(const Params& p, int, const Shared<S>& shared)
      : params_(p), shared_(shared) {}
  __device__ int wait(int) const { return 0; }
  __device__ void free_before(int) {}
  __device__ void request(const Segment& segment, int page) const {
    const int tokens = min(kPageTokens, params_.context[segment.sequence] - page * kPageTokens);
    const int id =
        params_.page_table[static_cast<std::size_t>(segment.sequence) * params_.page_table_stride +
                           page];
    const auto* source = reinterpret_cast<const uint4*>(
        params_.cache + static_cast<std::size_t>(id) * S::kPageBytes);
    __syncthreads();
    for (int i = threadIdx.x; i < tokens * S::kTokenBytes / 16; i += kThreads) {
      reinterpret_cast<uint4*>(shared_.page(0))[i] = source[i];
    }
    __syncthreads();
  }

 private:
  const Params& params_;
  const Shared<S>& shared_;
};

template <KvFormat kFormat, int kRowTiles, PageFetch kFetch>
__global__ void __launch_bounds__(kThreads, Shape<kFormat, kRowTiles>::kBlocksPerSm)
    decode_kernel(const __grid_constant__ Params p) {
  using S = Shape<kFormat, kRowTiles>;
  using Pages = std::conditional_t<kFetch == PageFetch::kBulk, BulkPages<S>, PlainPages<S>>;
  extern __shared__ std::uint8_t shared_bytes[];
  const Shared<S> shared(shared_bytes);
  const int row_tiles = ceil_div(p.rows(), S::kRows);
  wait_for_predecessor();
  let_successor_start();

  Pages pages(p, row_tiles, shared);
  SegmentCursor cursor(p, row_tiles);
  Segment segment;
  Softmax<kFormat, kRowTiles, S> softmax;
  const float scale = p.scale * 1.44269504f;  // exponents are base 2
  int count = 0;
  while (cursor.next(segment)) {
    const int context = p.context[segment.sequence];
    __syncthreads();
    load_query<kFormat>(p, segment, shared);
    softmax.reset();
    Output<kRowTiles> out = {};
    __syncthreads();
    for (int page = segment.page_begin; page < segment.page_end; ++page, ++count) {
      pages.request(segment, page);
      const int stage = pages.wait(count);
      const int tokens = context - page * kPageTokens;
      if (tokens < kPageTokens) clear_tokens<kFetch>(shared, stage, tokens);
      score<kFormat, kRowTiles>(shared, stage);
      __syncthreads();
      pages.free_before(count);
      softmax.step(shared, stage, scale, [&](int row) {
        const int query_token = (segment.row_tile * S::kRows + row) / p.heads;
        return tokens - p.query_tokens + 1 + query_token;
      });
      __syncthreads();
      accumulate<kFormat, kRowTiles>(shared, stage, out);
    }
    store_output<kFormat, kRowTiles>(p, segment, shared, softmax, out);
  }
}

// Adds the parts of the sequences that were cut. One block a row.
template <int kRows>
__global__ void __launch_bounds__(128) combine_kernel(const __grid_constant__ Params p) {
  wait_for_predecessor();
  let_successor_start();
  const int rows = p.rows();
  const int sequence = static_cast<int>(blockIdx.x) / rows;
  const int row = static_cast<int>(blockIdx.x) % rows;
  const PageLine line(p, ceil_div(rows, kRows));
  const Unit unit = line.unit(sequence, row / kRows);
  const int segments = line.segments(unit);
  if (segments <= 1) return;
  const auto slot_of = [&](int i) {
    return static_cast<std::size_t>(line.slot(unit, i)) * kRows + row % kRows;
  };
  float largest = kMinusInfinity;
  for (int i = threadIdx.x % 32; i < segments; i += 32) {
    largest = fmaxf(largest, p.partial_stats[slot_of(i)].x);
  }
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, step));
  }
  float sum = 0.0f;
  float4 total = {};
  constexpr int kBatch = 8;  // round trips to the cache at a time
  for (int first = 0; first < segments; first += kBatch) {
    float2 stats[kBatch];
    float4 part[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      stats[b] = {kMinusInfinity, 0.0f};
      part[b] = {};
      if (first + b < segments) {
        const std::size_t slot = slot_of(first + b);
        stats[b] = p.partial_stats[slot];
        part[b] = reinterpret_cast<const float4*>(p.partial_out + slot * kLatent)[threadIdx.x];
      }
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const float weight = exp2f(stats[b].x - largest);
      sum += weight * stats[b].y;
      total.x += weight * part[b].x;
      total.y += weight * part[b].y;
      total.z += weight * part[b].z;
      total.w += weight * part[b].w;
    }
  }
  const float inverse = 1.0f / sum;
  __align__(8)
      __nv_bfloat162 packed[2] = {__floats2bfloat162_rn(total.x * inverse, total.y * inverse),
                                  __floats2bfloat162_rn(total.z * inverse, total.w * inverse)};
  auto* out =
      reinterpret_cast<uint2*>(p.out + (static_cast<std::size_t>(sequence) * rows + row) * kLatent);
  out[threadIdx.x] = *reinterpret_cast<const uint2*>(packed);
}

inline bool legal(const Params& p) {
  return p.sequences >= 0 && p.sequences <= kSequencesMax && p.query_tokens >= 1 &&
         p.query_tokens <= kQueryTokensMax && p.heads >= 1 && p.rows() <= kRowsMax &&
         p.split_pages >= 0 && p.blocks >= 1;
}

// The decode and the combine kernel of one row tile.
template <KvFormat kFormat, int kRowTiles, PageFetch kFetch>
cudaError_t launch_tiles(Params p, LaunchOrder order, cudaStream_t stream) {
  using S = Shape<kFormat, kRowTiles>;
  p.blocks *= S::kBlocksPerSm;
  const cudaError_t decoded =
      launch(decode_kernel<kFormat, kRowTiles, kFetch>, p,
             {static_cast<unsigned>(p.blocks), kThreads, S::kSharedBytes}, order, stream);
  if (decoded != cudaSuccess) return decoded;
  return launch(combine_kernel<S::kRows>, p,
                {static_cast<unsigned>(p.sequences * p.rows()), 128, 0}, order, stream);
}

template <KvFormat kFormat, PageFetch kFetch>
cudaError_t launch_format(const Params& p, LaunchOrder order, cudaStream_t stream) {
  switch (row_tile_for(p.rows(), kFormat)) {
    case 16:
      return launch_tiles<kFormat, 1, kFetch>(p, order, stream);
    case 32:
      return launch_tiles<kFormat, 2, kFetch>(p, order, stream);
    default:
      break;
  }
  if constexpr (kFormat == KvFormat::kFp8)
    return launch_tiles<kFormat, 4, kFetch>(p, order, stream);
  return cudaErrorInvalidValue;
}

template <PageFetch kFetch>
cudaError_t launch_decode(const Params& p, LaunchOrder order, cudaStream_t stream) {
  if (!legal(p)) return cudaErrorInvalidValue;
  if (p.sequences == 0) return cudaSuccess;
  return p.format == KvFormat::kFp8 ? launch_format<KvFormat::kFp8, kFetch>(p, order, stream)
                                    : launch_format<KvFormat::kBf16, kFetch>(p, order, stream);
}

}  // namespace hadal::kernels::mla
