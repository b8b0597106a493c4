// Attention over cache pages in fp32 arithmetic, for any path: online softmax over blocks of one
// page, every query by itself.
#pragma once

#include "ops/cpu/kernels.h"
#include "ops/cpu/lanes.h"

namespace hadal::ops {
namespace {

HADAL_INLINE const uint16_t* page_of(const AttendArgs& args, int64_t position) {
  const int64_t page = args.page_row[position / kAttendPage];
  return reinterpret_cast<const uint16_t*>(static_cast<const char*>(args.pages) +
                                           page * args.page_stride);
}

// One query over the first `count` entries of a page. Entries behind them are never read: they may
// be NaN.
inline void attend_page(const float* q, const uint16_t* page, int64_t count, int latent, int kv_dim,
                        float* maximum, float* sum, float* out) {
  float scores[kAttendPage];
  float block_max = *maximum;
  for (int64_t s = 0; s < count; ++s) {
    F32x16 dot{};
    for (int i = 0; i < kv_dim; i += kLanes) {
      dot += load16(q + i) * bf16_to_lanes(page + s * kv_dim + i);
    }
    scores[s] = sum_lanes(dot);
    block_max = scores[s] > block_max ? scores[s] : block_max;
  }
  for (int64_t s = count; s < kAttendPage; ++s) scores[s] = -__builtin_inff();
  F32x16 exponentials{};
  for (int64_t s = 0; s < kAttendPage; s += kLanes) {
    const F32x16 e = exp16(load16(scores + s) - block_max);
    store16(scores + s, e);
    exponentials += e;
  }
  const float rescale = first_lane(exp16(splat(*maximum - block_max)));
  *sum = *sum * rescale + sum_lanes(exponentials);
  *maximum = block_max;
  for (int i = 0; i < latent; i += kLanes) {
    F32x16 value = load16(out + i) * rescale;
    for (int64_t s = 0; s < count; ++s) value += scores[s] * bf16_to_lanes(page + s * kv_dim + i);
    store16(out + i, value);
  }
}

void attend_f32(const AttendArgs& args) {
  for (int query = 0; query < args.queries; ++query) {
    float* const out = args.out + query * args.latent;
    args.maximum[query] = -__builtin_inff();
    args.sum[query] = 0.0F;
    std::memset(out, 0, sizeof(float) * static_cast<size_t>(args.latent));
    for (int64_t at = args.begin; at < args.end && at <= args.positions[query]; at += kAttendPage) {
      const int64_t behind =
          args.positions[query] + 1 < args.end ? args.positions[query] + 1 : args.end;
      const int64_t count = behind - at < kAttendPage ? behind - at : kAttendPage;
      attend_page(args.q + query * args.kv_dim, page_of(args, at), count, args.latent, args.kv_dim,
                  args.maximum + query, args.sum + query, out);
    }
  }
}

inline int64_t attend_f32_scratch_bytes(int) {
  return 0;
}

void merge_split(float* maximum, float* sum, float* out, float later_maximum, float later_sum,
                 const float* later_out, int n) {
  if (later_sum == 0.0F) return;  // no entries of this query in the later split
  const float top = *maximum > later_maximum ? *maximum : later_maximum;
  const float a = first_lane(exp16(splat(*maximum - top)));
  const float b = first_lane(exp16(splat(later_maximum - top)));
  for (int i = 0; i < n; i += kLanes) {
    store16(out + i, load16(out + i) * a + load16(later_out + i) * b);
  }
  *sum = *sum * a + later_sum * b;
  *maximum = top;
}

}  // namespace
}  // namespace hadal::ops
