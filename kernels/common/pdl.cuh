// Programmatic dependent launch: the two ends of LaunchOrder::kOverlapped (launch.h).
#pragma once

namespace hadal::kernels {

// Blocks until every earlier kernel on the stream has finished and its writes are visible. Free
// when the kernel was launched kSerial. Every kernel of a chain must call it, or a kernel two
// places behind could overtake.
__device__ __forceinline__ void wait_for_predecessor() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Lets the next kernel's blocks start as soon as this kernel's blocks leave room for them. Only a
// hint about scheduling: the next kernel still waits for this one's end before it reads.
__device__ __forceinline__ void let_successor_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

}  // namespace hadal::kernels
