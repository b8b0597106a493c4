#include "reference/kernels.h"

#include <algorithm>

// One clone an instruction set, chosen at load time. Sanitizers cannot run the resolvers.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !defined(HADAL_SANITIZED)
#define HADAL_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define HADAL_CLONES
#endif

namespace hadal::reference {

Matrix transpose(const std::vector<float>& weights, int64_t out, int64_t in) {
  Matrix matrix{.out = 0, .in = in, .transposed = {}};
  append_outputs(matrix, weights, out);
  return matrix;
}

void append_outputs(Matrix& matrix, const std::vector<float>& weights, int64_t out) {
  const int64_t total = matrix.out + out;
  std::vector<float> joined(static_cast<size_t>(matrix.in * total));
  for (int64_t k = 0; k < matrix.in; ++k) {
    for (int64_t o = 0; o < matrix.out; ++o) {
      joined[k * total + o] = matrix.transposed[k * matrix.out + o];
    }
    for (int64_t o = 0; o < out; ++o) {
      joined[k * total + matrix.out + o] = weights[o * matrix.in + k];
    }
  }
  matrix.out = total;
  matrix.transposed = std::move(joined);
}

HADAL_CLONES
void add_scaled(float* __restrict y, const float* __restrict x, float scale, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] += scale * x[i];
}

// Four rows at a time read each weight once for all four.
HADAL_CLONES
void matmul(float* __restrict y, const float* __restrict x, int64_t rows, const Matrix& w) {
  const int64_t out = w.out;
  const int64_t in = w.in;
  std::fill_n(y, rows * out, 0.0F);
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    float* __restrict y0 = y + row * out;
    float* __restrict y1 = y0 + out;
    float* __restrict y2 = y1 + out;
    float* __restrict y3 = y2 + out;
    const float* a = x + row * in;
    for (int64_t k = 0; k < in; ++k) {
      const float* __restrict weights = w.transposed.data() + k * out;
      const float a0 = a[k];
      const float a1 = a[in + k];
      const float a2 = a[2 * in + k];
      const float a3 = a[3 * in + k];
      for (int64_t o = 0; o < out; ++o) {
        y0[o] += a0 * weights[o];
        y1[o] += a1 * weights[o];
        y2[o] += a2 * weights[o];
        y3[o] += a3 * weights[o];
      }
    }
  }
  for (; row < rows; ++row) {
    float* __restrict one = y + row * out;
    for (int64_t k = 0; k < in; ++k) {
      const float* __restrict weights = w.transposed.data() + k * out;
      const float a = x[row * in + k];
      for (int64_t o = 0; o < out; ++o) one[o] += a * weights[o];
    }
  }
}

HADAL_CLONES
float dot(const float* a, const float* b, int64_t count) {
  constexpr int kLanes = 16;
  float partial[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) partial[lane] += a[i + lane] * b[i + lane];
  }
  float sum = 0.0F;
  for (const float value : partial) sum += value;
  for (; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace hadal::reference
