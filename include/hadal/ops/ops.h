// The operations of the forward pass, at fused granularity. model/ is written once over this
// interface; ops/cpu, ops/cuda and the plain fp32 twin in tests/reference implement it.
//
// Shapes: T tokens of a batch, H hidden_size, h heads. Activations are [rows, cols] row-major in
// activation_dtype() unless a line says otherwise; outputs come first and are overwritten entirely.
// Math is that of the reference model (DeepSeek-V3 `inference/model.py`); sums are fp32 or better;
// what is rounded to activation_dtype() is exactly what is stored to an output.
//
// Order: operations on one ExecContext happen in the order of the calls; on a GPU they are enqueued
// on its stream, on the CPU they have happened on return. Never allocates, never fails: shapes are
// CHECKed, a device error surfaces when the step's result is polled.
//
// Determinism (DESIGN.md section 3): a row's values depend on that row's inputs only, bit for bit,
// not on the number of rows, their order, or how a prompt was cut into chunks.
//
// Threads: prepare_* and forward operations of one Ops are called from one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "hadal/base/status.h"
#include "hadal/checkpoint/weight_view.h"
#include "hadal/core/model_spec.h"
#include "hadal/ops/batch.h"
#include "hadal/ops/tensor.h"
#include "hadal/ops/weights.h"

namespace hadal::ops {

// What alloc() rounds sizes up to; the arithmetic that sizes an arena counts with it.
inline constexpr int64_t kScratchAlignment = 256;

// Scratch memory of one launch thread (and, on a GPU, its stream): a bump arena that is sized once.
class ExecContext {
 public:
  virtual ~ExecContext() = default;
  // Contents undefined. Valid until release() to a mark taken before, or reset(). REQUIRES: it
  // fits.
  virtual TensorView alloc(DType dtype, int64_t rows, int64_t cols) = 0;
  virtual int64_t mark() const = 0;
  virtual void release(int64_t mark) = 0;
};

// Frees on scope exit what the scope allocated.
class ScratchScope {
 public:
  explicit ScratchScope(ExecContext& context) : context_(context), mark_(context.mark()) {}
  ~ScratchScope() { context_.release(mark_); }
  ScratchScope(const ScratchScope&) = delete;
  ScratchScope& operator=(const ScratchScope&) = delete;

 private:
  ExecContext& context_;
  int64_t mark_;
};

class Ops {
 public:
  virtual ~Ops() = default;

  // What activations between operations are stored as: bf16 or f32.
  virtual DType activation_dtype() const = 0;
  // A context whose arena holds `scratch_bytes`.
  virtual std::unique_ptr<ExecContext> make_context(int64_t scratch_bytes) = 0;

  // --- Weights. Refuse with an error that names the tensor what the backend cannot hold. ---

  // Stacks parts by output rows (q_a_proj + kv_a_proj_with_mqa; gate_proj + up_proj). All parts
  // share in_features.
  virtual Result<LinearWeight> prepare_linear(std::span<const LinearView> parts) = 0;
  virtual Result<VectorWeight> prepare_vector(const VectorView& vector) = 0;
  // kv_b_proj [h * (nope + v), kv_lora_rank]: per head W_UK [nope, kv_lora_rank], then W_UV [v,
  // kv_lora_rank].
  virtual Result<KvUpWeight> prepare_kv_up(const LinearView& kv_b_proj, const ModelSpec& spec) = 0;
  // mlp.gate.weight [n_routed_experts, H] and mlp.gate.e_score_correction_bias [n_routed_experts]
  // f32.
  virtual Result<RouterWeight> prepare_router(const LinearView& gate, const VectorView& bias,
                                              const ModelSpec& spec) = 0;
  virtual Result<ExpertsWeight> prepare_experts(std::span<const MlpView> routed,
                                                const MlpView& shared) = 0;
  virtual Result<EmbeddingWeight> prepare_embedding(const LinearView& table) = 0;

  // Sets the rotary frequencies (yarn_inv_freq) for positions below positions_max. Called once,
  // before any attention operation.
  virtual void prepare_rope(const ModelSpec& spec, int64_t positions_max) = 0;

  // --- KV cache. Unused entries may hold anything, NaN included; a reader never lets them matter.
  // ---
  virtual int64_t kv_page_bytes(const ModelSpec& spec) const = 0;  // one page, one layer

  // --- Forward ---

  // x[t] = table[batch.ids[t]]. x [T, H].
  virtual void embed(ExecContext& ctx, TensorView x, const TokenBatch& batch,
                     const EmbeddingWeight& table) = 0;

  // out = x * rsqrt(mean(x^2) + eps) * weight. May be in place.
  virtual void rms_norm(ExecContext& ctx, TensorView out, TensorView x, const VectorWeight& weight,
                        float eps) = 0;

  // residual += delta, then out = rms_norm(residual) (of the rounded sum).
  virtual void add_rms_norm(ExecContext& ctx, TensorView out, TensorView residual, TensorView delta,
                            const VectorWeight& weight, float eps) = 0;

  // out [T, out_features] = x [T, in_features] W^T.
  virtual void linear(ExecContext& ctx, TensorView out, TensorView x,
                      const LinearWeight& weight) = 0;

  // qkv_a [T, q_lora_rank + kv_dim] -> q_latent [T, q_lora_rank] = rms_norm(first part), and into
  // the cache of `layer` at each token's position: rms_norm(latent) and the rotated k_pe
  // (interleaved pairs).
  virtual void mla_latent(ExecContext& ctx, TensorView q_latent, TensorView qkv_a,
                          const TokenBatch& batch, const PagedKvCache& cache, int layer,
                          const VectorWeight& q_a_layernorm, const VectorWeight& kv_a_layernorm,
                          const ModelSpec& spec) = 0;

  // Absorbed attention. q [T, h * qk_head_dim] un-rotated, per head [nope | rope]; out [T, h *
  // v_head_dim]. Token at position p attends to its slot's cache entries [0, p] of `layer`. Inert
  // tokens give zeros.
  virtual void mla_attention(ExecContext& ctx, TensorView out, TensorView q,
                             const TokenBatch& batch, const PagedKvCache& cache, int layer,
                             const KvUpWeight& kv_up, const ModelSpec& spec) = 0;

  // out [T, F] = silu(gate_up[:, :F]) * gate_up[:, F:]. gate_up [T, 2 F].
  virtual void silu_mul(ExecContext& ctx, TensorView out, TensorView gate_up) = 0;

  // DeepSeek-V3 routing (noaux_tc): sigmoid scores in fp32; groups by the sum of their two best
  // biased scores; top-k of the kept groups by biased score, lowest id on ties; weights are the
  // *un-biased* scores, normalised, times routed_scaling_factor. ids [T, k] i32 ascending, weights
  // [T, k] f32.
  virtual void route(ExecContext& ctx, TensorView ids, TensorView weights, TensorView x,
                     const RouterWeight& router, const ModelSpec& spec) = 0;

  // out [T, H] = sum over the routed ids in ascending order of weight * expert(x), plus shared(x)
  // unscaled.
  virtual void experts(ExecContext& ctx, TensorView out, TensorView x, TensorView ids,
                       TensorView weights, const ExpertsWeight& experts) = 0;

  // out [T, 2 H] = [rms_norm(table[batch.ids[t]], enorm) | rms_norm(hidden[t], hnorm)]: input of
  // eh_proj.
  virtual void mtp_input(ExecContext& ctx, TensorView out, TensorView hidden,
                         const TokenBatch& batch, const EmbeddingWeight& table,
                         const VectorWeight& enorm, const VectorWeight& hnorm, float eps) = 0;

  // out[i] = x[index[i]]. index [out.rows] in the backend's memory.
  virtual void gather_rows(ExecContext& ctx, TensorView out, TensorView x,
                           const int32_t* index) = 0;

  // logits [S, vocab_size] f32 = x [S, H] W^T.
  virtual void head(ExecContext& ctx, TensorView logits, TensorView x,
                    const LinearWeight& lm_head) = 0;
};

}  // namespace hadal::ops
