// The loops of the reference that take its time: fp32, in source order, nothing blocked for caches.
#pragma once

#include <cstdint>
#include <vector>

namespace hadal::reference {

// W of y = x Wᵀ, stored as [in, out]: the inner loop then runs over independent outputs, so that a
// compiler may vectorise it without changing any sum's order.
struct Matrix {
  int64_t out = 0;
  int64_t in = 0;
  std::vector<float> transposed;
};

// `rows` of weights are [out, in]; parts are stacked by output rows.
Matrix transpose(const std::vector<float>& weights, int64_t out, int64_t in);
void append_outputs(Matrix& matrix, const std::vector<float>& weights, int64_t out);

// y [rows, w.out] = x [rows, w.in] Wᵀ
void matmul(float* y, const float* x, int64_t rows, const Matrix& w);

// sum of a[i] * b[i], in 16 interleaved partial sums.
float dot(const float* a, const float* b, int64_t count);

// y += scale * x
void add_scaled(float* y, const float* x, float scale, int64_t count);

}  // namespace hadal::reference
