// The prepare_* half of ReferenceOps.
#include "reference/reference_weights.h"

#include <cmath>
#include <memory>
#include <utility>

#include "hadal/base/check.h"
#include "reference/dequantize.h"
#include "reference/reference_ops.h"

namespace hadal::reference {
namespace {

Matrix stacked(std::span<const LinearView> parts) {
  Matrix matrix{.out = 0, .in = parts[0].in_features, .transposed = {}};
  for (const LinearView& part : parts) {
    HADAL_CHECK(part.in_features == matrix.in, "{} has other columns", part.name);
    append_outputs(matrix, dequantize(part), part.out_features);
  }
  return matrix;
}

Mlp make_mlp(const MlpView& view) {
  const LinearView gate_up[] = {view.gate_proj, view.up_proj};
  return {stacked(gate_up), stacked({&view.down_proj, 1})};
}

// Rows [begin, begin + count) of weights [.., in].
std::vector<float> rows_of(const std::vector<float>& weights, int64_t begin, int64_t count,
                           int64_t in) {
  return {weights.begin() + begin * in, weights.begin() + (begin + count) * in};
}

}  // namespace

Result<ops::LinearWeight> ReferenceOps::prepare_linear(std::span<const LinearView> parts) {
  auto weight = std::make_unique<MatrixWeight>();
  weight->matrix = stacked(parts);
  return ops::LinearWeight{std::move(weight)};
}

Result<ops::VectorWeight> ReferenceOps::prepare_vector(const VectorView& vector) {
  auto weight = std::make_unique<FloatsWeight>();
  weight->values = dequantize(vector);
  return ops::VectorWeight{std::move(weight)};
}

Result<ops::KvUpWeight> ReferenceOps::prepare_kv_up(const LinearView& kv_b_proj,
                                                    const ModelSpec& spec) {
  const std::vector<float> all = dequantize(kv_b_proj);
  const int64_t rank = spec.kv_lora_rank;
  const int64_t nope = spec.qk_nope_head_dim;
  const int64_t v = spec.v_head_dim;
  auto weight = std::make_unique<KvUpMatrices>();
  for (int64_t head = 0; head < spec.num_attention_heads; ++head) {
    const int64_t first = head * (nope + v);
    // W_UK is [nope, rank] as stored, which is already the [in, out] of q_nope -> latent.
    weight->key_up.push_back(
        {.out = rank, .in = nope, .transposed = rows_of(all, first, nope, rank)});
    weight->value_up.push_back(transpose(rows_of(all, first + nope, v, rank), v, rank));
  }
  return ops::KvUpWeight{std::move(weight)};
}

Result<ops::RouterWeight> ReferenceOps::prepare_router(const LinearView& gate,
                                                       const VectorView& bias, const ModelSpec&) {
  auto weight = std::make_unique<RouterMatrix>();
  weight->gate = stacked({&gate, 1});
  weight->bias = dequantize(bias);
  return ops::RouterWeight{std::move(weight)};
}

Result<ops::ExpertsWeight> ReferenceOps::prepare_experts(std::span<const MlpView> routed,
                                                         const MlpView& shared) {
  auto weight = std::make_unique<ExpertMatrices>();
  for (const MlpView& view : routed) weight->routed.push_back(make_mlp(view));
  weight->shared = make_mlp(shared);
  return ops::ExpertsWeight{std::move(weight)};
}

Result<ops::EmbeddingWeight> ReferenceOps::prepare_embedding(const LinearView& table) {
  auto weight = std::make_unique<FloatsWeight>();
  weight->values = dequantize(table);
  return ops::EmbeddingWeight{std::move(weight)};
}

void ReferenceOps::prepare_rope(const ModelSpec& spec, int64_t positions_max) {
  const int pairs = spec.qk_rope_head_dim / 2;
  std::vector<double> inv_freq(pairs);
  yarn_inv_freq(spec, inv_freq.data());
  if (mistake_ == Mistake::kPlainRopeFrequencies) {
    for (int j = 0; j < pairs; ++j) {
      inv_freq[j] = std::pow(spec.rope.rope_theta, -2.0 * j / spec.qk_rope_head_dim);
    }
  }
  cos_.clear();
  sin_.clear();
  for (int64_t position = 0; position < positions_max; ++position) {
    for (const double frequency : inv_freq) {
      const double angle = static_cast<double>(position) * frequency;
      cos_.push_back(static_cast<float>(std::cos(angle)));
      sin_.push_back(static_cast<float>(std::sin(angle)));
    }
  }
}

}  // namespace hadal::reference
