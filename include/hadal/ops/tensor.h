// Views of activations in a backend's memory.
#pragma once

#include <cstdint>

namespace hadal::ops {

enum class DType : uint8_t { kF32, kBf16, kI32 };

constexpr int64_t size_of(DType type) {
  return type == DType::kBf16 ? 2 : 4;
}

// A row-major matrix. Never owns. Rows lie `cols` elements apart: always contiguous.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;

  int64_t bytes() const { return rows * cols * size_of(dtype); }
  // REQUIRES: the element type matches dtype. Callers are backends and tests; the model never reads
  // values.
  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace hadal::ops
