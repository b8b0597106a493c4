#include <cuda_runtime_api.h>

#include "hadal/device/buffer.h"
#include "hadal/device/error.h"
#include "kernels/ceiling_kernels.h"
#include "kernels/data.h"
#include "kernels/harness.h"

namespace hadal::bench {
namespace {

constexpr std::size_t kStreamBytes = std::size_t{4} << 30;
// Only the choice of how many launches a graph holds depends on these.
constexpr Ceilings kGuess{3, 3, 700, 1400};

Result<Measurement> measure_ceiling(Bound bound, double bytes, double flops,
                                    const std::function<cudaError_t(cudaStream_t)>& launch,
                                    device::StreamView stream) {
  Case measured;
  measured.family = "ceiling";
  measured.bound = bound;
  measured.bytes = bytes;
  measured.flops = flops;
  measured.set_bytes = static_cast<double>(kStreamBytes);
  measured.enqueue = [&](int, device::StreamView s) -> Status {
    return HADAL_CUDA_STATUS(launch(s.handle));
  };
  return measure(measured, kGuess, stream);
}

}  // namespace

Result<Ceilings> measure_ceilings(device::StreamView stream) {
  int blocks = 0;
  HADAL_RETURN_IF_CUDA_ERROR(cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, 0));
  HADAL_ASSIGN_OR_RETURN(const device::DeviceBuffer from,
                         device::DeviceBuffer::allocate(kStreamBytes));
  HADAL_ASSIGN_OR_RETURN(const device::DeviceBuffer to,
                         device::DeviceBuffer::allocate(kStreamBytes));
  HADAL_RETURN_IF_CUDA_ERROR(
      fill_random_fp8(from.as<std::uint8_t>(), kStreamBytes, 1, stream.handle));
  const double bytes = static_cast<double>(kStreamBytes);
  const auto read = [&](cudaStream_t s) {
    return launch_read(from.as<void>(), kStreamBytes, to.as<void>(), blocks, s);
  };
  const auto copy = [&](cudaStream_t s) {
    return launch_copy(from.as<void>(), to.as<void>(), kStreamBytes, blocks, s);
  };
  HADAL_ASSIGN_OR_RETURN(const Measurement r,
                         measure_ceiling(Bound::kRead, bytes, 0, read, stream));
  HADAL_ASSIGN_OR_RETURN(const Measurement c,
                         measure_ceiling(Bound::kCopy, 2 * bytes, 0, copy, stream));
  // From here on `to` starts with bf16 operands.
  HADAL_RETURN_IF_CUDA_ERROR(
      fill_random_bf16(to.as<std::uint16_t>(), 1 << 15, 1.0f, 2, stream.handle));
  const auto matrix = [&](MatrixType type) {
    const void* operands = type == MatrixType::kFp8 ? from.as<void>() : to.as<void>();
    void* sink = to.as<std::uint8_t>() + (1 << 20);
    const auto launch = [=](cudaStream_t s) {
      return launch_matrix(type, operands, sink, blocks, s);
    };
    const Bound bound = type == MatrixType::kFp8 ? Bound::kFp8 : Bound::kBf16;
    return measure_ceiling(bound, 0, 2 * blocks * matrix_macs(type), launch, stream);
  };
  HADAL_ASSIGN_OR_RETURN(const Measurement bf16, matrix(MatrixType::kBf16));
  HADAL_ASSIGN_OR_RETURN(const Measurement fp8, matrix(MatrixType::kFp8));
  return Ceilings{r.tb_s, c.tb_s, bf16.tflop_s, fp8.tflop_s};
}

}  // namespace hadal::bench
