// The memory-bound steps of an attention block.
#include <cuda_bf16.h>

#include <algorithm>

#include "hadal/device/buffer.h"
#include "hadal/device/error.h"
#include "kernels/data.h"
#include "kernels/families.h"
#include "kernels/norm/norm.h"

namespace hadal::bench {
namespace {

using device::DeviceBuffer;
using kernels::LaunchOrder;
namespace norm = kernels::norm;

constexpr double kRotationBytes = 400e6;
constexpr int kHidden = 7168;
constexpr int kQueryRank = 1536;
constexpr int kFused = kQueryRank + kernels::kLatentRope;

std::size_t size(int a, int b) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}
int sets_for(double bytes) {
  return std::max(2, static_cast<int>(kRotationBytes / bytes));
}

Status bench_add_norm_quant(Session& session, int tokens, bool with_normed) {
  Case c;
  c.family = "norm";
  c.shape = with_normed ? "add+norm+quant, bf16 too" : "add+norm+quant 7168";
  c.tokens = tokens;
  c.variant = "generic";
  c.bound = Bound::kCopy;
  const double elements = static_cast<double>(tokens) * kHidden;
  c.bytes = elements * (3 * 2 + 1 + 4.0 / 128 + (with_normed ? 2 : 0));
  c.set_bytes = elements * 4;  // x and the residual
  c.input_sets = std::min(10000, sets_for(c.set_bytes));
  const std::size_t set = size(tokens, kHidden);
  const std::size_t sets = static_cast<std::size_t>(c.input_sets);
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer x, DeviceBuffer::allocate(set * sets * 2));
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer residual, DeviceBuffer::allocate(set * sets * 2));
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer weight, DeviceBuffer::allocate(kHidden * 2));
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer out, DeviceBuffer::allocate(set * 4));
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer scale, DeviceBuffer::allocate(size(tokens, 56 * 4)));
  for (const DeviceBuffer* b : {&x, &residual, &weight}) {
    HADAL_RETURN_IF_CUDA_ERROR(fill_random_bf16(b->as<std::uint16_t>(), b->size_bytes() / 2, 1.0f,
                                                1, session.stream.handle));
  }
  c.enqueue = [&, set](int i, device::StreamView s) -> Status {
    const std::size_t offset = set * static_cast<std::size_t>(i);
    norm::AddNormQuantParams p;
    p.x = x.as<__nv_bfloat16>() + offset;
    p.residual = residual.as<__nv_bfloat16>() + offset;
    p.weight = weight.as<__nv_bfloat16>();
    p.epsilon = 1e-6f;
    p.tokens = tokens;
    p.hidden = kHidden;
    p.normed = with_normed ? out.as<__nv_bfloat16>() + set : nullptr;
    p.quantised = {out.as<std::uint8_t>(), scale.as<float>(), tokens};
    return HADAL_CUDA_STATUS(norm::launch_add_norm_quant(p, LaunchOrder::kOverlapped, s.handle));
  };
  return run_case(session, c);
}

Status bench_norm_rope_cache(Session& session, int tokens) {
  Case c;
  c.family = "norm";
  c.shape = "norm+rope+cache fp8";
  c.tokens = tokens;
  c.variant = "generic";
  c.bound = Bound::kCopy;
  c.bytes = static_cast<double>(tokens) * (2.0 * kFused + 1.03 * kQueryRank + 656);
  c.set_bytes = static_cast<double>(tokens) * 2 * kFused;
  c.input_sets = std::min(60000, sets_for(c.set_bytes));
  const std::size_t set = size(tokens, kFused);
  const std::size_t sets = static_cast<std::size_t>(c.input_sets);
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer fused, DeviceBuffer::allocate(set * sets * 2));
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer weight, DeviceBuffer::allocate(kQueryRank * 2));
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer cos_sin, DeviceBuffer::allocate(256));
  HADAL_ASSIGN_OR_RETURN(DeviceBuffer position, DeviceBuffer::allocate(size(tokens, 4)));
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer slot, DeviceBuffer::allocate(size(tokens, 4)));
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer q, DeviceBuffer::allocate(size(tokens, kQueryRank)));
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer q_scale, DeviceBuffer::allocate(size(tokens, 12 * 4)));
  HADAL_ASSIGN_OR_RETURN(const DeviceBuffer cache, DeviceBuffer::allocate(size(tokens, 656)));
  std::vector<int> slots(static_cast<std::size_t>(tokens));
  for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<int>(i);
  HADAL_RETURN_IF_ERROR(
      device::copy(slot.as<void>(), slots.data(), slots.size() * 4, session.stream));
  HADAL_RETURN_IF_ERROR(position.fill(0, session.stream));
  HADAL_RETURN_IF_ERROR(session.stream.synchronize());
  for (const DeviceBuffer* b : {&fused, &weight}) {
    HADAL_RETURN_IF_CUDA_ERROR(fill_random_bf16(b->as<std::uint16_t>(), b->size_bytes() / 2, 1.0f,
                                                1, session.stream.handle));
  }
  HADAL_RETURN_IF_CUDA_ERROR(
      fill_random_float(cos_sin.as<float>(), 64, -1, 1, 2, session.stream.handle));
  c.enqueue = [&, set](int i, device::StreamView s) -> Status {
    norm::NormRopeCacheParams p;
    p.fused = fused.as<__nv_bfloat16>() + set * static_cast<std::size_t>(i);
    p.q_weight = weight.as<__nv_bfloat16>();
    p.kv_weight = weight.as<__nv_bfloat16>();
    p.cos_sin = cos_sin.as<float2>();
    p.position = position.as<int>();
    p.slot = slot.as<int>();
    p.epsilon = 1e-6f;
    p.tokens = tokens;
    p.q_lora_rank = kQueryRank;
    p.q = {q.as<std::uint8_t>(), q_scale.as<float>(), tokens};
    p.cache = cache.as<std::uint8_t>();
    return HADAL_CUDA_STATUS(norm::launch_norm_rope_cache(p, LaunchOrder::kOverlapped, s.handle));
  };
  return run_case(session, c);
}

}  // namespace

Status bench_norm(Session& session) {
  for (const int tokens : {1, 32, 256, 1024})
    HADAL_RETURN_IF_ERROR(bench_add_norm_quant(session, tokens, false));
  HADAL_RETURN_IF_ERROR(bench_add_norm_quant(session, 1024, true));
  for (const int tokens : {1, 32, 256, 1024})
    HADAL_RETURN_IF_ERROR(bench_norm_rope_cache(session, tokens));
  return {};
}

}  // namespace hadal::bench
