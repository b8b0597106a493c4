// Memory of a device, and page-locked memory of the host that devices copy from and to.
//
// All of it is taken at start-up: allocation synchronises the device, so the serving path never
// allocates (Arena hands out pieces of a buffer instead).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "hadal/base/status.h"
#include "hadal/device/stream.h"

namespace hadal::device {

// Owns `size_bytes` bytes of the current device's memory, aligned to 256 bytes, contents undefined.
// Move only; an empty buffer has no memory. Threads: any one at a time.
class DeviceBuffer {
 public:
  // kResourceExhausted, with the sizes wanted and free, when the device has too little memory.
  static Result<DeviceBuffer> allocate(std::size_t size_bytes);
  DeviceBuffer() = default;
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  std::size_t size_bytes() const { return size_bytes_; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

  // Every byte becomes `value`. Asynchronous.
  Status fill(std::uint8_t value, StreamView stream);

 private:
  DeviceBuffer(void* data, std::size_t size_bytes) : data_(data), size_bytes_(size_bytes) {}
  void* data_ = nullptr;
  std::size_t size_bytes_ = 0;
};

// The same of page-locked host memory: the only kind that a copy in a CUDA graph may touch.
class PinnedBuffer {
 public:
  static Result<PinnedBuffer> allocate(std::size_t size_bytes);
  PinnedBuffer() = default;
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept;
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;

  std::size_t size_bytes() const { return size_bytes_; }
  template <typename T>
  std::span<T> as() const {
    return {static_cast<T*>(data_), size_bytes_ / sizeof(T)};
  }

 private:
  PinnedBuffer(void* data, std::size_t size_bytes) : data_(data), size_bytes_(size_bytes) {}
  void* data_ = nullptr;
  std::size_t size_bytes_ = 0;
};

// Enqueues a copy between any two places (device, pinned or pageable host memory). Asynchronous
// unless one side is pageable. REQUIRES: both sides hold `size_bytes` bytes until the copy has run.
Status copy(void* to, const void* from, std::size_t size_bytes, StreamView stream);

}  // namespace hadal::device
