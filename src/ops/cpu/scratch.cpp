#include "ops/cpu/scratch.h"

#include <cstdlib>

#include "hadal/base/check.h"

namespace hadal::ops {
namespace {

constexpr int64_t kAlignment = 64;

int64_t round_up(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

void GrowingBuffer::Free::operator()(std::byte* p) const {
  std::free(p);
}

void* GrowingBuffer::reserve(int64_t bytes) {
  if (bytes > bytes_) {
    bytes_ = round_up(bytes);
    data_.reset();
    data_.reset(
        static_cast<std::byte*>(std::aligned_alloc(kAlignment, static_cast<size_t>(bytes_))));
    HADAL_CHECK(data_ != nullptr, "no memory for {} bytes of scratch", bytes_);
  }
  return data_.get();
}

CpuContext::CpuContext(int64_t bytes)
    : data_(static_cast<std::byte*>(memory_.reserve(round_up(bytes)))), bytes_(round_up(bytes)) {}

TensorView CpuContext::alloc(DType dtype, int64_t rows, int64_t cols) {
  const TensorView view{data_ + used_, dtype, rows, cols};
  used_ += round_up(view.bytes());
  HADAL_CHECK(used_ <= bytes_, "scratch of {} bytes is too small for {} more", bytes_,
              view.bytes());
  return view;
}

void CpuContext::release(int64_t mark) {
  HADAL_CHECK(mark >= 0 && mark <= used_, "release to {} of {} bytes in use", mark, used_);
  used_ = mark;
}

}  // namespace hadal::ops
