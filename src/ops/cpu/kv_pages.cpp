#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "hadal/core/step_plan.h"
#include "hadal/ops/cpu/cpu_ops.h"

namespace hadal::ops {

Result<CpuKvPages> CpuKvPages::create(const ModelSpec& spec, int32_t layers, int32_t pages_total) {
  HADAL_CHECK(layers > 0 && pages_total > 0, "{} layers, {} pages", layers, pages_total);
  const int64_t bytes = int64_t{pages_total} * layers * kPageTokens * spec.kv_dim() * 2;
  void* const data = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("cannot reserve {} bytes for {} KV pages: {}", bytes, pages_total,
                             std::strerror(errno))};
  }
  return CpuKvPages(data, bytes);
}

CpuKvPages::~CpuKvPages() {
  if (data_ != nullptr) munmap(data_, static_cast<size_t>(bytes_));
}

CpuKvPages::CpuKvPages(CpuKvPages&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

CpuKvPages& CpuKvPages::operator=(CpuKvPages&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace hadal::ops
