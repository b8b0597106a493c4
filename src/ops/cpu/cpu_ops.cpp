#include "ops/cpu/cpu_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "hadal/core/limits.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/numeric_formats.h"

namespace hadal::ops {
namespace {

static_assert(kAttendPage == kPageTokens);

constexpr int kThreadsMax = 1024;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

Result<PackedMatrix> pack_one(const LinearView& view) {
  return PackedMatrix::pack({&view, 1});
}

Result<CpuExpert> pack_expert(const MlpView& mlp) {
  HADAL_ASSIGN_OR_RETURN(PackedMatrix gate, pack_one(mlp.gate_proj));
  HADAL_ASSIGN_OR_RETURN(PackedMatrix up, pack_one(mlp.up_proj));
  HADAL_ASSIGN_OR_RETURN(PackedMatrix down, pack_one(mlp.down_proj));
  return CpuExpert{std::move(gate), std::move(up), std::move(down)};
}

std::vector<float> to_floats(const VectorView& view) {
  std::vector<float> values(static_cast<size_t>(view.size));
  for (size_t i = 0; i < values.size(); ++i) {
    if (view.type == VectorType::kF32) {
      std::memcpy(&values[i], view.data + i * sizeof(float), sizeof(float));
    } else {
      uint16_t bits;
      std::memcpy(&bits, view.data + i * sizeof(bits), sizeof(bits));
      values[i] = bf16_to_f32(bits);
    }
  }
  return values;
}

const float* values_of(const VectorWeight& weight, int64_t size) {
  const auto& vector = as<CpuVector>(weight.handle);
  HADAL_CHECK(static_cast<int64_t>(vector.values.size()) == size, "a vector of {}, wanted {}",
              vector.values.size(), size);
  return vector.values.data();
}

void check_shape(const TensorView& t, int64_t rows, int64_t cols) {
  HADAL_CHECK(t.dtype == DType::kF32 && t.rows == rows && t.cols == cols,
              "f32 [{}, {}] wanted, found [{}, {}]", rows, cols, t.rows, t.cols);
}

int64_t sum_bytes(const std::vector<PackedMatrix>& matrices) {
  int64_t total = 0;
  for (const PackedMatrix& m : matrices) total += m.bytes();
  return total;
}

}  // namespace

int64_t CpuKvUp::bytes() const {
  return sum_bytes(uk) + sum_bytes(uv);
}

int64_t CpuRouter::bytes() const {
  return gate.bytes() + static_cast<int64_t>(bias.size() * sizeof(float));
}

int64_t CpuExperts::bytes() const {
  int64_t total = 0;
  for (const CpuExpert& e : experts) total += e.gate.bytes() + e.up.bytes() + e.down.bytes();
  return total;
}

Result<std::unique_ptr<Ops>> make_cpu_ops(const CpuOptions& options) {
  if (options.threads < 0 || options.threads > kThreadsMax) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("threads is {}, wanted 0 to {}", options.threads, kThreadsMax),
                 "threads"};
  }
  const std::vector<CpuIsa> available = available_cpu_isas();
  const CpuIsa isa = options.isa.value_or(available.back());
  if (std::find(available.begin(), available.end(), isa) == available.end()) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("this machine cannot run the {} path, the fastest it can run is {}",
                             cpu_isa_name(isa), cpu_isa_name(available.back()))};
  }
  const int threads = options.threads != 0
                          ? options.threads
                          : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return std::unique_ptr<Ops>(std::make_unique<CpuOps>(kernels_of(isa), threads));
}

CpuOps::CpuOps(const KernelTable& kernels, int threads)
    : kernels_(kernels), pool_(threads), per_thread_(static_cast<size_t>(threads)) {}

std::unique_ptr<ExecContext> CpuOps::make_context(int64_t scratch_bytes) {
  return std::make_unique<CpuContext>(scratch_bytes);
}

Result<LinearWeight> CpuOps::prepare_linear(std::span<const LinearView> parts) {
  HADAL_ASSIGN_OR_RETURN(PackedMatrix packed, PackedMatrix::pack(parts));
  return LinearWeight{std::make_unique<PackedMatrix>(std::move(packed))};
}

Result<VectorWeight> CpuOps::prepare_vector(const VectorView& vector) {
  auto weight = std::make_unique<CpuVector>();
  weight->values = to_floats(vector);
  return VectorWeight{std::move(weight)};
}

Result<KvUpWeight> CpuOps::prepare_kv_up(const LinearView& kv_b_proj, const ModelSpec& spec) {
  const int nope = spec.qk_nope_head_dim, v = spec.v_head_dim, latent = spec.kv_lora_rank;
  const int64_t rows = int64_t{spec.num_attention_heads} * (nope + v);
  if (kv_b_proj.out_features != rows || kv_b_proj.in_features != latent) {
    return Error{ErrorCode::kBadFile,
                 fmt::format("{} is [{}, {}], wanted [{}, {}]", kv_b_proj.name,
                             kv_b_proj.out_features, kv_b_proj.in_features, rows, latent)};
  }
  auto weight = std::make_unique<CpuKvUp>();
  std::vector<float> row(static_cast<size_t>(latent));
  std::vector<float> uk(static_cast<size_t>(latent * nope)), uv(static_cast<size_t>(v * latent));
  for (int64_t head = 0; head < spec.num_attention_heads; ++head) {
    for (int i = 0; i < nope; ++i) {
      decode_row(kv_b_proj, head * (nope + v) + i, row.data());
      for (int c = 0; c < latent; ++c)
        uk[static_cast<size_t>(c * nope + i)] = row[static_cast<size_t>(c)];
    }
    for (int i = 0; i < v; ++i) {
      decode_row(kv_b_proj, head * (nope + v) + nope + i, uv.data() + i * latent);
    }
    weight->uk.push_back(PackedMatrix::pack_bf16(uk.data(), latent, nope));
    weight->uv.push_back(PackedMatrix::pack_bf16(uv.data(), v, latent));
  }
  return KvUpWeight{std::move(weight)};
}

Result<RouterWeight> CpuOps::prepare_router(const LinearView& gate, const VectorView& bias,
                                            const ModelSpec& spec) {
  if (gate.out_features != spec.n_routed_experts || bias.size != spec.n_routed_experts) {
    return Error{ErrorCode::kBadFile,
                 fmt::format("{} has {} rows and {} values of bias, wanted {}", gate.name,
                             gate.out_features, bias.size, spec.n_routed_experts)};
  }
  HADAL_ASSIGN_OR_RETURN(PackedMatrix packed, pack_one(gate));
  auto weight = std::make_unique<CpuRouter>(std::move(packed));
  weight->bias = to_floats(bias);
  return RouterWeight{std::move(weight)};
}

Result<ExpertsWeight> CpuOps::prepare_experts(std::span<const MlpView> routed,
                                              const MlpView& shared) {
  auto weight = std::make_unique<CpuExperts>();
  for (const MlpView& mlp : routed) {
    HADAL_ASSIGN_OR_RETURN(CpuExpert expert, pack_expert(mlp));
    weight->experts.push_back(std::move(expert));
  }
  HADAL_ASSIGN_OR_RETURN(CpuExpert expert, pack_expert(shared));
  weight->experts.push_back(std::move(expert));
  for (const CpuExpert& e : weight->experts) {
    weight->width_max = std::max(weight->width_max, e.down.view().inputs);
  }
  return ExpertsWeight{std::move(weight)};
}

Result<EmbeddingWeight> CpuOps::prepare_embedding(const LinearView& table) {
  if (table.format != WeightFormat::kBf16) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{} is quantised, wanted a bf16 embedding", table.name)};
  }
  auto weight = std::make_unique<CpuEmbedding>();
  weight->vocab = table.out_features;
  weight->width = table.in_features;
  weight->rows.resize(static_cast<size_t>(table.out_features * table.in_features));
  std::memcpy(weight->rows.data(), table.data, weight->rows.size() * sizeof(uint16_t));
  return EmbeddingWeight{std::move(weight)};
}

void CpuOps::prepare_rope(const ModelSpec& spec, int64_t positions_max) {
  rope_ = RopeTable(spec, positions_max);
}

int64_t CpuOps::kv_page_bytes(const ModelSpec& spec) const {
  return int64_t{kPageTokens} * spec.kv_dim() * static_cast<int64_t>(sizeof(uint16_t));
}

void* CpuOps::gemm_scratch(int thread, int64_t inputs) {
  return per_thread_[static_cast<size_t>(thread)].gemm.reserve(kernels_.gemm_scratch_bytes(inputs));
}

void CpuOps::multiply(Gemm gemm, const MatrixView& weight, const float* x, int64_t x_stride,
                      float* out, int64_t out_stride, int64_t rows) {
  if (rows == 0) return;
  const int64_t row_blocks = ceil_div(rows, kGemmRows);
  // Enough column chunks to occupy the pool, of as many tiles as a kernel takes at once.
  constexpr int64_t kTasksPerThread = 4;
  const int64_t chunks_wanted = ceil_div(kTasksPerThread * pool_.threads(), row_blocks);
  const int64_t chunk_tiles = ceil_div(ceil_div(weight.tile_rows, chunks_wanted), 4) * 4;
  const int64_t chunks = ceil_div(weight.tile_rows, chunk_tiles);
  pool_.run(static_cast<int>(row_blocks * chunks), [&](int task, int thread) {
    const int64_t first = task / chunks * kGemmRows;
    const int64_t tile = task % chunks * chunk_tiles;
    gemm({.weight = &weight,
          .x = x + first * x_stride,
          .x_stride = x_stride,
          .rows = static_cast<int>(std::min<int64_t>(kGemmRows, rows - first)),
          .out = out + first * out_stride + tile * kTileOutputs,
          .out_stride = out_stride,
          .tile_begin = tile,
          .tile_end = std::min(tile + chunk_tiles, weight.tile_rows),
          .scratch = gemm_scratch(thread, weight.inputs)});
  });
}

void CpuOps::linear(ExecContext&, TensorView out, TensorView x, const LinearWeight& weight) {
  const MatrixView& w = as<PackedMatrix>(weight.handle).view();
  check_shape(x, out.rows, w.inputs);
  check_shape(out, x.rows, w.outputs);
  multiply(kernels_.gemm, w, x.as<float>(), x.cols, out.as<float>(), out.cols, x.rows);
}

void CpuOps::head(ExecContext& ctx, TensorView logits, TensorView x, const LinearWeight& lm_head) {
  linear(ctx, logits, x, lm_head);
}

void CpuOps::embed(ExecContext&, TensorView x, const TokenBatch& batch,
                   const EmbeddingWeight& table) {
  const auto& e = as<CpuEmbedding>(table.handle);
  check_shape(x, batch.tokens, e.width);
  for_rows(batch.tokens, e.width, [&](int64_t t) {
    const int32_t id = batch.ids[t];
    HADAL_CHECK(id >= 0 && id < e.vocab, "token id {} of {}", id, e.vocab);
    kernels_.from_bf16(x.as<float>() + t * e.width, e.rows.data() + id * e.width, e.width);
  });
}

void CpuOps::rms_norm(ExecContext&, TensorView out, TensorView x, const VectorWeight& weight,
                      float eps) {
  check_shape(out, x.rows, x.cols);
  const float* const w = values_of(weight, x.cols);
  for_rows(x.rows, x.cols, [&](int64_t r) {
    kernels_.rms_norm(out.as<float>() + r * x.cols, x.as<float>() + r * x.cols, w, x.cols, eps);
  });
}

void CpuOps::add_rms_norm(ExecContext&, TensorView out, TensorView residual, TensorView delta,
                          const VectorWeight& weight, float eps) {
  const int64_t n = residual.cols;
  check_shape(out, residual.rows, n);
  check_shape(delta, residual.rows, n);
  const float* const w = values_of(weight, n);
  for_rows(residual.rows, n, [&](int64_t r) {
    kernels_.add_rms_norm(out.as<float>() + r * n, residual.as<float>() + r * n,
                          delta.as<float>() + r * n, w, n, eps);
  });
}

void CpuOps::silu_mul(ExecContext&, TensorView out, TensorView gate_up) {
  const int64_t n = out.cols;
  check_shape(out, gate_up.rows, n);
  check_shape(gate_up, out.rows, 2 * n);
  for_rows(out.rows, n, [&](int64_t r) {
    const float* const gate = gate_up.as<float>() + r * 2 * n;
    kernels_.silu_mul(out.as<float>() + r * n, gate, gate + n, n);
  });
}

void CpuOps::mtp_input(ExecContext&, TensorView out, TensorView hidden, const TokenBatch& batch,
                       const EmbeddingWeight& table, const VectorWeight& enorm,
                       const VectorWeight& hnorm, float eps) {
  const auto& e = as<CpuEmbedding>(table.handle);
  const int64_t n = e.width;
  check_shape(hidden, batch.tokens, n);
  check_shape(out, batch.tokens, 2 * n);
  const float* const e_weight = values_of(enorm, n);
  const float* const h_weight = values_of(hnorm, n);
  for_rows(batch.tokens, 2 * n, [&](int64_t t) {
    float* const row = out.as<float>() + t * 2 * n;
    const int32_t id = batch.ids[t];
    HADAL_CHECK(id >= 0 && id < e.vocab, "token id {} of {}", id, e.vocab);
    kernels_.from_bf16(row, e.rows.data() + id * n, n);
    kernels_.rms_norm(row, row, e_weight, n, eps);
    kernels_.rms_norm(row + n, hidden.as<float>() + t * n, h_weight, n, eps);
  });
}

void CpuOps::gather_rows(ExecContext&, TensorView out, TensorView x, const int32_t* index) {
  check_shape(out, out.rows, x.cols);
  for (int64_t i = 0; i < out.rows; ++i) {
    HADAL_CHECK(index[i] >= 0 && index[i] < x.rows, "row {} of {}", index[i], x.rows);
    std::memcpy(out.as<float>() + i * x.cols, x.as<float>() + index[i] * x.cols,
                static_cast<size_t>(x.cols) * sizeof(float));
  }
}

}  // namespace hadal::ops
