// norm_rope_cache and rope_query: what stands between the first projections and MLA.
//
// One block a token. Warps 0 .. q/256-1 norm and quantise q_a; the next two warps norm the latent
// and write it to the cache; the last one rotates the key's 64 values and writes them.
//
// bytes a token: 2 x 2112 in + 1.03 x 1536 + 656 (or 1152) out = 6.5 KB
// bound: latency of one block, about 2 us, up to some 500 tokens
#include "kernels/common/pdl.cuh"
#include "kernels/norm/norm.h"
#include "kernels/norm/row.cuh"

namespace hadal::kernels::norm {
namespace {

constexpr int kLatentWarps = kLatent / (32 * kPiece);
constexpr int kWarpsMax = 12;

// Rotates the pairs (x[0], x[1]), ... by the angles of pairs `first`, first + 1, ...
__device__ __forceinline__ void rotate(Piece& piece, const float2* cos_sin, int first) {
#pragma unroll
  for (int i = 0; i < kPiece / 2; ++i) {
    const float2 angle = cos_sin[first + i];
    const float even = piece.value[2 * i];
    const float odd = piece.value[2 * i + 1];
    piece.value[2 * i] = even * angle.x - odd * angle.y;
    piece.value[2 * i + 1] = even * angle.y + odd * angle.x;
  }
}

// Sum of a per-warp value over `count` warps from `first` on.
__device__ __forceinline__ float sum_of_warps(const float* warp_values, int first, int count) {
  float sum = 0.0f;
  for (int w = first; w < first + count; ++w) sum += warp_values[w];
  return sum;
}

__device__ void quantise_query(const NormRopeCacheParams& p, Piece piece, const Piece& weight,
                               float square, int token, int column) {
  const float inverse_rms = rsqrtf(square / static_cast<float>(p.q_lora_rank) + p.epsilon);
  normalise(piece, inverse_rms, weight);
  store_quantised(p.q, piece, token, column, p.q_lora_rank);
}

__device__ std::uint8_t* cache_row(const NormRopeCacheParams& p, int slot) {
  return p.cache + static_cast<std::size_t>(slot) * kv_token_bytes(p.format);
}

__device__ void store_latent(const NormRopeCacheParams& p, const Piece& piece, uint4 rounded,
                             float amax, int slot, int column) {
  std::uint8_t* row = cache_row(p, slot);
  if (p.format == KvFormat::kBf16) {
    *reinterpret_cast<uint4*>(row + bf16_row_offset(slot % kPageTokens, column)) = rounded;
    return;
  }
  const float scale = scale_of_amax(amax);
  *reinterpret_cast<uint2*>(row + column) = quantise(piece, scale);
  if (column == 0) {
    // The unused bytes too: a page's bytes are then a function of its tokens.
    *reinterpret_cast<float4*>(row + kFp8ScaleOffset) = {scale, 0.0f, 0.0f, 0.0f};
  }
}

__device__ void store_rotated_key(const NormRopeCacheParams& p, Piece piece, int token, int slot,
                                  int column) {
  rotate(piece, p.cos_sin + static_cast<std::size_t>(p.position[token]) * (kRope / 2), column / 2);
  const uint4 rounded = round_piece(piece);
  std::uint8_t* row = cache_row(p, slot);
  const int offset = p.format == KvFormat::kBf16
                         ? bf16_row_offset(slot % kPageTokens, kLatent + column)
                         : kFp8RopeOffset + 2 * column;
  *reinterpret_cast<uint4*>(row + offset) = rounded;
}

__global__ void __launch_bounds__(kWarpsMax * 32)
    norm_rope_cache_kernel(const __grid_constant__ NormRopeCacheParams p) {
  __shared__ float squares[kWarpsMax];
  __shared__ float maxima[kWarpsMax];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int q_warps = p.q_lora_rank / (32 * kPiece);
  const bool is_query = warp < q_warps;
  const bool is_latent = !is_query && warp < q_warps + kLatentWarps;
  const bool is_key = !is_query && !is_latent && lane < kRope / kPiece;
  const int token = static_cast<int>(blockIdx.x);
  const int column = static_cast<int>(threadIdx.x) * kPiece;  // in the fused row
  const int latent_column = column - p.q_lora_rank;

  Piece weight = {};
  if (is_query) weight = load_piece(p.q_weight + column);
  if (is_latent) weight = load_piece(p.kv_weight + latent_column);
  wait_for_predecessor();
  let_successor_start();

  Piece piece = {};
  if (is_query || is_latent || is_key) {
    const int width = p.q_lora_rank + kLatentRope;
    piece = load_piece(p.fused + static_cast<std::size_t>(token) * width + column);
  }
  const float warp_square = lanes_sum<32>(square_sum(piece));
  if (lane == 0) squares[warp] = warp_square;
  __syncthreads();

  uint4 latent = {};
  if (is_query) quantise_query(p, piece, weight, sum_of_warps(squares, 0, q_warps), token, column);
  if (is_latent) {
    const float square = sum_of_warps(squares, q_warps, kLatentWarps);
    latent = normalise(piece, rsqrtf(square / kLatent + p.epsilon), weight);
    const float warp_max = lanes_max<32>(amax_of(piece));
    if (lane == 0) maxima[warp] = warp_max;
  }
  __syncthreads();
  const int slot = p.slot[token];
  if (slot < 0) return;
  if (is_latent) {
    static_assert(kLatentWarps == 2, "the token's scale is the larger of two warps' maxima");
    store_latent(p, piece, latent, fmaxf(maxima[q_warps], maxima[q_warps + 1]), slot,
                 latent_column);
  }
  if (is_key) store_rotated_key(p, piece, token, slot, latent_column - kLatent);
}

constexpr int kQueryHead = 192;  // 128 without position, 64 rotary

__global__ void rope_query_kernel(const __grid_constant__ RopeQueryParams p) {
  constexpr int kPieces = kRope / kPiece;
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  wait_for_predecessor();
  let_successor_start();
  if (i >= p.tokens * p.heads * kPieces) return;
  const int row = i / kPieces;
  const int column = i % kPieces * kPiece;
  Piece piece =
      load_piece(p.q + static_cast<std::size_t>(row) * kQueryHead + kQueryHead - kRope + column);
  const int position = p.position[row / p.heads];
  rotate(piece, p.cos_sin + static_cast<std::size_t>(position) * (kRope / 2), column / 2);
  *reinterpret_cast<uint4*>(p.q_rope + static_cast<std::size_t>(row) * kRope + column) =
      round_piece(piece);
}

}  // namespace

cudaError_t launch_norm_rope_cache(const NormRopeCacheParams& p, LaunchOrder order,
                                   cudaStream_t stream) {
  const int warps = p.q_lora_rank / (32 * kPiece) + kLatentWarps + 1;
  if (p.tokens < 0 || p.q_lora_rank <= 0 || p.q_lora_rank % 256 != 0 || warps > kWarpsMax ||
      p.q.scale_stride < p.tokens) {
    return cudaErrorInvalidValue;
  }
  return launch(norm_rope_cache_kernel, p,
                {static_cast<unsigned>(p.tokens), static_cast<unsigned>(warps * 32), 0}, order,
                stream);
}

cudaError_t launch_rope_query(const RopeQueryParams& p, LaunchOrder order, cudaStream_t stream) {
  if (p.tokens < 0 || p.heads <= 0) return cudaErrorInvalidValue;
  constexpr int kThreads = 256;
  const int pieces = p.tokens * p.heads * (kRope / kPiece);
  return launch(rope_query_kernel, p,
                {static_cast<unsigned>(ceil_div(pieces, kThreads)), kThreads, 0}, order, stream);
}

}  // namespace hadal::kernels::norm
