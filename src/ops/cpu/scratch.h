// Working memory of the CPU backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "hadal/ops/ops.h"

namespace hadal::ops {

// 64-byte aligned memory that grows to the largest request and is kept. Contents are lost on
// growth.
class GrowingBuffer {
 public:
  void* reserve(int64_t bytes);
  template <typename T>
  T* reserve_as(int64_t count) {
    return static_cast<T*>(reserve(count * static_cast<int64_t>(sizeof(T))));
  }

  // What the last reserve() returned.
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_.get());
  }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
  int64_t bytes_ = 0;
};

// The bump arena behind ExecContext.
class CpuContext : public ExecContext {
 public:
  explicit CpuContext(int64_t bytes);
  TensorView alloc(DType dtype, int64_t rows, int64_t cols) override;
  int64_t mark() const override { return used_; }
  void release(int64_t mark) override;

 private:
  GrowingBuffer memory_;
  std::byte* data_;
  int64_t bytes_;
  int64_t used_ = 0;
};

}  // namespace hadal::ops
