// Copies from device memory to shared memory that run beside the threads.
#pragma once

#include <cstdint>

#include "kernels/common/mbarrier.cuh"

namespace hadal::kernels {

// Contiguous bytes by the copy engine; `barrier` is told when they have landed. Weights are read
// once a step, so their lines are first to leave the cache. REQUIRES: both addresses and `bytes`
// are multiples of 16. sm_90.
__device__ __forceinline__ void bulk_copy_streamed(void* to_shared, const void* from,
                                                   std::uint32_t bytes, std::uint64_t* barrier) {
  constexpr std::uint64_t kEvictFirst = 0x12F0000000000000;
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1], %2, [%3], %4;" ::"r"(shared_address(to_shared)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier)), "l"(kEvictFirst)
      : "memory");
}

// The same for data that other blocks read as well.
__device__ __forceinline__ void bulk_copy(void* to_shared, const void* from, std::uint32_t bytes,
                                          std::uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to_shared)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}

// 16 bytes, past the first-level cache. sm_80.
__device__ __forceinline__ void cp_async_16(void* to_shared, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(to_shared))),
               "l"(from)
               : "memory");
}

__device__ __forceinline__ void cp_async_4(void* to_shared, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(to_shared))),
               "l"(from)
               : "memory");
}

__device__ __forceinline__ void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Blocks until at most `kPending` of this thread's newest groups are still under way.
template <int kPending>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace hadal::kernels
