// Barriers in shared memory that count threads and bytes: one PTX instruction, one function. sm_90.
#pragma once

#include <cstdint>

namespace hadal::kernels {

__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// One thread, before any other use; follow with fence_barrier_init() and a block barrier.
__device__ __forceinline__ void mbarrier_init(std::uint64_t* barrier, std::uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
}

// Makes the initialised barriers visible to the copy engine.
__device__ __forceinline__ void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// Makes this thread's ordinary writes to shared memory visible to the tensor cores and the copy
// engine. Before the barrier that hands the data over.
__device__ __forceinline__ void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ __forceinline__ void mbarrier_arrive(std::uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}

// One lane arrives for its warp. racecheck of compute-sanitizer follows a barrier only for threads
// that arrive themselves, so in a build for it (HADAL_RACECHECK) every lane does.
#ifdef HADAL_RACECHECK
inline constexpr int kArrivalsOfWarp = 32;
#else
inline constexpr int kArrivalsOfWarp = 1;
#endif
__device__ __forceinline__ void mbarrier_arrive_warp(std::uint64_t* barrier) {
  __syncwarp();
  if (kArrivalsOfWarp == 32 || threadIdx.x % 32 == 0) mbarrier_arrive(barrier);
}

// Arrives, and asks the phase to wait for `bytes` of bulk copies as well.
__device__ __forceinline__ void mbarrier_arrive_expect(std::uint64_t* barrier,
                                                       std::uint32_t bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}

// Blocks until the phase of parity `parity` is over. A fresh barrier is in phase 0, and its
// "phase before", parity 1, counts as over.
__device__ __forceinline__ void mbarrier_wait(std::uint64_t* barrier, std::uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra over;\n"
      "bra again;\n"
      "over:\n"
      "}\n" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}

// A position in a ring of stages and the parity of its current lap.
struct RingPosition {
  int stage = 0;
  std::uint32_t parity = 0;

  __device__ __forceinline__ void advance(int depth) {
    if (++stage == depth) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// `threads` threads of the block meet at hardware barrier `id` (1..15; 0 is __syncthreads).
__device__ __forceinline__ void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace hadal::kernels
