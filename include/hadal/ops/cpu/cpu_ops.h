// The CPU backend of Ops: deterministic, and the twin that other backends are tested against.
//
// Instruction sets. One of four paths is chosen when the Ops is made and never changes after:
//   portable  plain C++, fp32 arithmetic on weights decoded exactly
//   avx2      the same arithmetic with FMA (x86 with AVX2, FMA, F16C)
//   avx512    bf16 products, fp32 sums (AVX-512 F/BW/DQ/VL/VBMI/BF16)
//   amx       bf16 tiles, fp32 sums (AVX-512 as above, AMX-TILE, AMX-BF16, permission by the OS)
// The last two round the inputs of matrix products to bf16; nothing else is rounded below fp32
// except the KV cache, which is bf16 on every path. Activations between operations are f32.
// Results differ between paths in the last bits, never within one (DESIGN.md section 3).
//
// Memory. Weights stay in their checkpoint format (bf16, e4m3 with block scales, e2m1 with group
// scales), re-ordered into tiles; W_UK and W_UV of kv_b_proj are kept as bf16. Working memory grows
// to the largest step seen and is kept: forward operations do not allocate after warm-up.
//
// KV layout: [page][layer][kPageTokens][kv_dim] bf16, latent before rotated key.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "hadal/base/status.h"
#include "hadal/core/model_spec.h"
#include "hadal/ops/batch.h"
#include "hadal/ops/ops.h"

namespace hadal::ops {

enum class CpuIsa : uint8_t { kPortable, kAvx2, kAvx512, kAmx };

std::string_view cpu_isa_name(CpuIsa isa);
// What this machine and its operating system offer, slowest first; portable always. On Linux this
// asks the kernel for permission to use AMX tiles.
std::vector<CpuIsa> available_cpu_isas();

struct CpuOptions {
  int threads = 0;                 // working threads, the caller included; 0: one a processor
  std::optional<CpuIsa> isa = {};  // none: the fastest available
};

// Refuses an instruction set that this machine lacks and a number of threads outside [0, 1024].
Result<std::unique_ptr<Ops>> make_cpu_ops(const CpuOptions& options);

// Memory of the KV pages of all layers: reserved at once, resident only where it has been written.
class CpuKvPages {
 public:
  // Refuses what the operating system refuses.
  static Result<CpuKvPages> create(const ModelSpec& spec, int32_t layers, int32_t pages_total);
  ~CpuKvPages();
  CpuKvPages(CpuKvPages&& other) noexcept;
  CpuKvPages& operator=(CpuKvPages&& other) noexcept;
  CpuKvPages(const CpuKvPages&) = delete;
  CpuKvPages& operator=(const CpuKvPages&) = delete;

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  CpuKvPages(void* data, int64_t bytes) : data_(data), bytes_(bytes) {}
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace hadal::ops
