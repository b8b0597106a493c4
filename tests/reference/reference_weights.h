// What ReferenceOps keeps behind the weight handles.
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/ops/weights.h"
#include "reference/kernels.h"

namespace hadal::reference {

inline int64_t float_bytes(const std::vector<float>& values) {
  return static_cast<int64_t>(values.size() * sizeof(float));
}

struct MatrixWeight final : ops::Weight {
  Matrix matrix;
  int64_t bytes() const override { return float_bytes(matrix.transposed); }
};

struct FloatsWeight final : ops::Weight {  // a vector, or the rows of an embedding
  std::vector<float> values;
  int64_t bytes() const override { return float_bytes(values); }
};

// Per head, so that both contractions are matmuls: q_nope -> latent with W_UK, latent -> v with
// W_UV.
struct KvUpMatrices final : ops::Weight {
  std::vector<Matrix> key_up;    // [h]: in nope, out kv_lora_rank
  std::vector<Matrix> value_up;  // [h]: in kv_lora_rank, out v
  int64_t bytes() const override {
    int64_t sum = 0;
    for (const Matrix& m : key_up) sum += float_bytes(m.transposed);
    for (const Matrix& m : value_up) sum += float_bytes(m.transposed);
    return sum;
  }
};

struct RouterMatrix final : ops::Weight {
  Matrix gate;
  std::vector<float> bias;
  int64_t bytes() const override { return float_bytes(gate.transposed) + float_bytes(bias); }
};

struct Mlp {
  Matrix gate_up;
  Matrix down;
};

struct ExpertMatrices final : ops::Weight {
  std::vector<Mlp> routed;
  Mlp shared;
  int64_t bytes() const override {
    int64_t sum = float_bytes(shared.gate_up.transposed) + float_bytes(shared.down.transposed);
    for (const Mlp& mlp : routed) {
      sum += float_bytes(mlp.gate_up.transposed) + float_bytes(mlp.down.transposed);
    }
    return sum;
  }
};

}  // namespace hadal::reference
