// Absorbed MLA attention of one query column in double precision, over cache entries written and
// read here from the definition of the formats: the twin of kernels/mla.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "kernels/common/kv_layout.h"
#include "reference/kernels/fp8.h"

namespace hadal::reference {

inline float bf16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
// Nearest, ties to even. Finite values.
inline std::uint16_t float_to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// One cache entry: 512 latent values, 64 of the rotated key.
using CacheEntry = std::vector<float>;

// Writes `entry` as row `row` of `page`. For fp8 the latent is rounded to e4m3 under one scale.
inline void write_entry(std::span<std::uint8_t> page, kernels::KvFormat format, int row,
                        const CacheEntry& entry) {
  std::uint8_t* to = page.data() + row * kernels::kv_token_bytes(format);
  const auto put_bf16 = [&](int offset, float x) {
    const std::uint16_t bits = float_to_bf16(x);
    std::memcpy(to + offset, &bits, 2);
  };
  if (format == kernels::KvFormat::kBf16) {
    for (int i = 0; i < kernels::kLatentRope; ++i) {
      put_bf16(kernels::bf16_row_offset(row, i), entry[static_cast<std::size_t>(i)]);
    }
    return;
  }
  float largest = 1e-10f;
  for (int i = 0; i < kernels::kLatent; ++i) {
    largest = std::max(largest, std::fabs(entry[static_cast<std::size_t>(i)]));
  }
  const float scale = largest / 448.0f;
  for (int i = 0; i < kernels::kLatent; ++i) {
    to[i] = float_to_fp8(entry[static_cast<std::size_t>(i)] / scale);
  }
  std::memcpy(to + kernels::kFp8ScaleOffset, &scale, 4);
  for (int i = 0; i < kernels::kRope; ++i) {
    put_bf16(kernels::kFp8RopeOffset + 2 * i,
             entry[static_cast<std::size_t>(kernels::kLatent + i)]);
  }
}

inline CacheEntry read_entry(std::span<const std::uint8_t> page, kernels::KvFormat format,
                             int row) {
  const std::uint8_t* from = page.data() + row * kernels::kv_token_bytes(format);
  const auto bf16_at = [&](int offset) {
    std::uint16_t bits;
    std::memcpy(&bits, from + offset, 2);
    return bf16_to_float(bits);
  };
  CacheEntry entry(kernels::kLatentRope);
  float scale = 0;
  std::memcpy(&scale, from + kernels::kFp8ScaleOffset, 4);
  for (int i = 0; i < kernels::kLatentRope; ++i) {
    float& x = entry[static_cast<std::size_t>(i)];
    if (format == kernels::KvFormat::kBf16) {
      x = bf16_at(kernels::bf16_row_offset(row, i));
    } else if (i < kernels::kLatent) {
      x = fp8_to_float(from[i]) * scale;
    } else {
      x = bf16_at(kernels::kFp8RopeOffset + 2 * (i - kernels::kLatent));
    }
  }
  return entry;
}

struct MlaColumn {
  std::vector<double> out;        // [512]
  std::vector<double> magnitude;  // [512]: sum of weight x |value|, what rounding errors scale with
};

// Attention of one column (a token's head) to the first `count` entries.
inline MlaColumn mla_column(std::span<const float> q, const std::vector<CacheEntry>& entries,
                            int count, double softmax_scale) {
  std::vector<double> weight(static_cast<std::size_t>(count));
  double largest = -INFINITY;
  for (std::size_t t = 0; t < weight.size(); ++t) {
    double dot = 0;
    for (std::size_t i = 0; i < q.size(); ++i) {
      dot += static_cast<double>(q[i]) * static_cast<double>(entries[t][i]);
    }
    weight[t] = dot * softmax_scale;
    largest = std::max(largest, weight[t]);
  }
  double sum = 0;
  for (double& w : weight) sum += w = std::exp(w - largest);
  MlaColumn column{std::vector<double>(kernels::kLatent), std::vector<double>(kernels::kLatent)};
  for (std::size_t t = 0; t < weight.size(); ++t) {
    for (std::size_t i = 0; i < column.out.size(); ++i) {
      const double value = static_cast<double>(entries[t][i]);
      column.out[i] += weight[t] / sum * value;
      column.magnitude[i] += weight[t] / sum * std::fabs(value);
    }
  }
  return column;
}

}  // namespace hadal::reference
