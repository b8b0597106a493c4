#include "hadal/device/buffer.h"

#include <fmt/format.h>

#include "hadal/device/error.h"

namespace hadal::device {

Result<DeviceBuffer> DeviceBuffer::allocate(std::size_t size_bytes) {
  if (size_bytes == 0) return DeviceBuffer();
  void* data = nullptr;
  const cudaError_t code = cudaMalloc(&data, size_bytes);
  if (code == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    HADAL_RETURN_IF_CUDA_ERROR(cudaMemGetInfo(&free_bytes, &total_bytes));
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("wanted {} bytes of device memory, {} of {} are free", size_bytes,
                             free_bytes, total_bytes)};
  }
  HADAL_RETURN_IF_CUDA_ERROR(code);
  return DeviceBuffer(data, size_bytes);
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ != nullptr) log_if_failed(cudaFree(data_), "cudaFree");
}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

Status DeviceBuffer::fill(std::uint8_t value, StreamView stream) {
  return HADAL_CUDA_STATUS(cudaMemsetAsync(data_, value, size_bytes_, stream.handle));
}

Result<PinnedBuffer> PinnedBuffer::allocate(std::size_t size_bytes) {
  if (size_bytes == 0) return PinnedBuffer();
  void* data = nullptr;
  HADAL_RETURN_IF_CUDA_ERROR(cudaMallocHost(&data, size_bytes));
  return PinnedBuffer(data, size_bytes);
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) log_if_failed(cudaFreeHost(data_), "cudaFreeHost");
}

PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

Status copy(void* to, const void* from, std::size_t size_bytes, StreamView stream) {
  return HADAL_CUDA_STATUS(cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyDefault, stream.handle));
}

}  // namespace hadal::device
