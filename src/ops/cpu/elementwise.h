// The element-by-element kernels, written once over lanes.h and compiled by every path.
#pragma once

#include "ops/cpu/kernels.h"
#include "ops/cpu/lanes.h"

namespace hadal::ops {
namespace {

float inverse_rms(const float* x, int64_t n, float eps) {
  F32x16 squares{};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const F32x16 v = load16(x + i);
    squares += v * v;
  }
  if (i < n) {
    const F32x16 v = load_part(x + i, n - i);
    squares += v * v;
  }
  return 1.0F / __builtin_sqrtf(sum_lanes(squares) / static_cast<float>(n) + eps);
}

void rms_norm(float* out, const float* x, const float* weight, int64_t n, float eps) {
  const float scale = inverse_rms(x, n, eps);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    store16(out + i, load16(x + i) * scale * load16(weight + i));
  }
  if (i < n) {
    store_part(out + i, load_part(x + i, n - i) * scale * load_part(weight + i, n - i), n - i);
  }
}

void add_rms_norm(float* out, float* residual, const float* delta, const float* weight, int64_t n,
                  float eps) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    store16(residual + i, load16(residual + i) + load16(delta + i));
  for (; i < n; ++i) residual[i] += delta[i];
  rms_norm(out, residual, weight, n, eps);
}

HADAL_INLINE F32x16 sigmoid16(F32x16 x) {
  return 1.0F / (1.0F + exp16(-x));
}

void silu_mul(float* out, const float* gate, const float* up, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const F32x16 z = load16(gate + i);
    store16(out + i, z * sigmoid16(z) * load16(up + i));
  }
  if (i < n) {
    const F32x16 z = load_part(gate + i, n - i);
    store_part(out + i, z * sigmoid16(z) * load_part(up + i, n - i), n - i);
  }
}

void sigmoid(float* out, const float* x, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store16(out + i, sigmoid16(load16(x + i)));
  if (i < n) store_part(out + i, sigmoid16(load_part(x + i, n - i)), n - i);
}

void add_scaled(float* out, const float* x, float factor, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store16(out + i, load16(out + i) + load16(x + i) * factor);
  if (i < n)
    store_part(out + i, load_part(out + i, n - i) + load_part(x + i, n - i) * factor, n - i);
}

void to_bf16(uint16_t* out, const float* x, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) lanes_to_bf16(out + i, load16(x + i));
  if (i < n) {
    uint16_t part[kLanes];
    lanes_to_bf16(part, load_part(x + i, n - i));
    std::memcpy(out + i, part, static_cast<size_t>(n - i) * sizeof(uint16_t));
  }
}

void from_bf16(float* out, const uint16_t* x, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store16(out + i, bf16_to_lanes(x + i));
  if (i < n) {
    uint16_t part[kLanes] = {};
    std::memcpy(part, x + i, static_cast<size_t>(n - i) * sizeof(uint16_t));
    store_part(out + i, bf16_to_lanes(part), n - i);
  }
}

}  // namespace
}  // namespace hadal::ops
