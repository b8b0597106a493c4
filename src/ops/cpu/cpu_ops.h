// The CPU implementation of Ops, one class over several sources by concern: cpu_ops.cpp (weights,
// linear, norms), attention.cpp, router.cpp, experts.cpp. The arithmetic is in the kernel table of
// the chosen path; these sources cut the work into tasks and hand them to the pool.
#pragma once

#include <vector>

#include "hadal/ops/cpu/cpu_ops.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/packed_matrix.h"
#include "ops/cpu/rope.h"
#include "ops/cpu/scratch.h"
#include "ops/cpu/thread_pool.h"

namespace hadal::ops {

struct CpuVector : Weight {
  std::vector<float> values;
  int64_t bytes() const override { return static_cast<int64_t>(values.size() * sizeof(float)); }
};

// Per head: W_UK transposed, [kv_lora_rank, nope], and W_UV, [v, kv_lora_rank].
struct CpuKvUp : Weight {
  std::vector<PackedMatrix> uk, uv;
  int64_t bytes() const override;
};

struct CpuRouter : Weight {
  explicit CpuRouter(PackedMatrix matrix) : gate(std::move(matrix)) {}
  PackedMatrix gate;
  std::vector<float> bias;
  int64_t bytes() const override;
};

struct CpuExpert {
  PackedMatrix gate, up, down;
};

// The routed experts by id, then the shared one.
struct CpuExperts : Weight {
  std::vector<CpuExpert> experts;
  int64_t width_max = 0;  // widest expert's intermediate size
  int64_t bytes() const override;
};

struct CpuEmbedding : Weight {
  std::vector<uint16_t> rows;
  int64_t vocab = 0, width = 0;
  int64_t bytes() const override { return static_cast<int64_t>(rows.size() * sizeof(uint16_t)); }
};

class CpuOps : public Ops {
 public:
  CpuOps(const KernelTable& kernels, int threads);

  DType activation_dtype() const override { return DType::kF32; }
  std::unique_ptr<ExecContext> make_context(int64_t scratch_bytes) override;

  Result<LinearWeight> prepare_linear(std::span<const LinearView> parts) override;
  Result<VectorWeight> prepare_vector(const VectorView& vector) override;
  Result<KvUpWeight> prepare_kv_up(const LinearView& kv_b_proj, const ModelSpec& spec) override;
  Result<RouterWeight> prepare_router(const LinearView& gate, const VectorView& bias,
                                      const ModelSpec& spec) override;
  Result<ExpertsWeight> prepare_experts(std::span<const MlpView> routed,
                                        const MlpView& shared) override;
  Result<EmbeddingWeight> prepare_embedding(const LinearView& table) override;
  void prepare_rope(const ModelSpec& spec, int64_t positions_max) override;
  int64_t kv_page_bytes(const ModelSpec& spec) const override;

  void embed(ExecContext& ctx, TensorView x, const TokenBatch& batch,
             const EmbeddingWeight& table) override;
  void rms_norm(ExecContext& ctx, TensorView out, TensorView x, const VectorWeight& weight,
                float eps) override;
  void add_rms_norm(ExecContext& ctx, TensorView out, TensorView residual, TensorView delta,
                    const VectorWeight& weight, float eps) override;
  void linear(ExecContext& ctx, TensorView out, TensorView x, const LinearWeight& weight) override;
  void mla_latent(ExecContext& ctx, TensorView q_latent, TensorView qkv_a, const TokenBatch& batch,
                  const PagedKvCache& cache, int layer, const VectorWeight& q_a_layernorm,
                  const VectorWeight& kv_a_layernorm, const ModelSpec& spec) override;
  void mla_attention(ExecContext& ctx, TensorView out, TensorView q, const TokenBatch& batch,
                     const PagedKvCache& cache, int layer, const KvUpWeight& kv_up,
                     const ModelSpec& spec) override;
  void silu_mul(ExecContext& ctx, TensorView out, TensorView gate_up) override;
  void route(ExecContext& ctx, TensorView ids, TensorView weights, TensorView x,
             const RouterWeight& router, const ModelSpec& spec) override;
  void experts(ExecContext& ctx, TensorView out, TensorView x, TensorView ids, TensorView weights,
               const ExpertsWeight& experts) override;
  void mtp_input(ExecContext& ctx, TensorView out, TensorView hidden, const TokenBatch& batch,
                 const EmbeddingWeight& table, const VectorWeight& enorm, const VectorWeight& hnorm,
                 float eps) override;
  void gather_rows(ExecContext& ctx, TensorView out, TensorView x, const int32_t* index) override;
  void head(ExecContext& ctx, TensorView logits, TensorView x,
            const LinearWeight& lm_head) override;

 private:
  // Up to kAttendQueries consecutive queries of one sequence.
  struct QueryGroup {
    int64_t first = 0;  // index into [tokens * heads]
    int count = 0;
    int32_t slot = -1;
    int64_t end = 0;  // largest position + 1
  };
  struct AttentionShape;
  // Rows of one expert that are computed together.
  struct ExpertBlock {
    int expert = 0;
    int64_t first = 0;  // index into expert_tokens_
    int rows = 0;
  };

  using Gemm = void (*)(const GemmArgs&);
  // out = x W^T, all rows, in parallel.
  void multiply(Gemm gemm, const MatrixView& weight, const float* x, int64_t x_stride, float* out,
                int64_t out_stride, int64_t rows);
  void multiply_heads(const std::vector<PackedMatrix>& heads, const float* x, int64_t x_stride,
                      int64_t x_step, float* out, int64_t out_stride, int64_t out_step,
                      int64_t rows);
  // Calls f(row) for every row, in parallel when there are enough of `width` values.
  template <typename F>
  void for_rows(int64_t rows, int64_t width, F&& f);
  void* gemm_scratch(int thread, int64_t inputs);

  void rotate_queries(const TensorView& q, const TokenBatch& batch, const AttentionShape& shape);
  void group_queries(const TokenBatch& batch, const AttentionShape& shape);
  void attend_splits(int group, int64_t first_split, int64_t last_split, float* maximum, float* sum,
                     float* out, int thread, const AttentionShape& shape);
  void attend_group(int group, int thread, const AttentionShape& shape);
  void attend_all(const AttentionShape& shape);
  void finish_group(const QueryGroup& group, const float* sum, const AttentionShape& shape);

  void sort_by_expert(const TensorView& ids, const TensorView& weights, int64_t first_token,
                      int64_t tokens, int expert_count);
  void expert_hidden(const float* x, int64_t x_stride, const CpuExperts& experts);
  void expert_output(float* out, int64_t width, const CpuExperts& experts);

  struct PerThread {
    GrowingBuffer gemm, values, attend;
  };

  const KernelTable& kernels_;
  ThreadPool pool_;
  std::vector<PerThread> per_thread_;
  RopeTable rope_;
  GrowingBuffer queries_, latents_, partials_, hidden_;
  std::vector<QueryGroup> groups_;
  std::vector<int32_t> query_positions_;
  std::vector<int32_t> expert_tokens_;  // by expert, then token
  std::vector<float> expert_weights_;   // beside expert_tokens_
  std::vector<int64_t> expert_starts_;
  std::vector<ExpertBlock> expert_blocks_;
};

template <typename F>
void CpuOps::for_rows(int64_t rows, int64_t width, F&& f) {
  constexpr int64_t kValuesPerTask = 8192;  // below this a fork costs more than it saves
  const int64_t per_task = std::max<int64_t>(1, kValuesPerTask / std::max<int64_t>(width, 1));
  const auto tasks = static_cast<int>((rows + per_task - 1) / per_task);
  pool_.run(tasks, [&](int task, int) {
    const int64_t end = std::min(rows, (task + 1) * per_task);
    for (int64_t row = task * per_task; row < end; ++row) f(row);
  });
}

// The backend's own class behind a handle. REQUIRES: the handle was made by this backend.
template <typename T>
const T& as(const WeightPtr& handle) {
  HADAL_CHECK(handle != nullptr, "an empty weight handle");
  return static_cast<const T&>(*handle);
}

}  // namespace hadal::ops
