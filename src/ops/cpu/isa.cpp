#include "ops/cpu/isa.h"

#if defined(HADAL_CPU_X86)
#include <cpuid.h>
#endif
#if defined(HADAL_CPU_X86) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace hadal::ops {
namespace {

#if defined(HADAL_CPU_X86)

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bf16");
}

bool has_amx_instructions() {
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24;  // CPUID leaf 7, EDX
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx & kAmxBf16) != 0 && (edx & kAmxTile) != 0;
}

// Linux saves the 8 KiB of tile state only for processes that have asked (arch_prctl(2)).
bool amx_permitted() {
#if defined(__linux__)
  constexpr int kArchReqXcompPerm = 0x1023;
  constexpr int kXfeatureXtiledata = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureXtiledata) == 0;
#else
  return false;
#endif
}

#endif

bool offered(CpuIsa isa) {
#if defined(HADAL_CPU_X86)
  switch (isa) {
    case CpuIsa::kPortable:
      return true;
    case CpuIsa::kAvx2:
      return has_avx2();
    case CpuIsa::kAvx512:
      return has_avx512();
    case CpuIsa::kAmx:
      return has_avx512() && has_amx_instructions() && amx_permitted();
  }
#endif
  return isa == CpuIsa::kPortable;
}

std::vector<CpuIsa> detect() {
  std::vector<CpuIsa> found{CpuIsa::kPortable, CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAmx};
  std::erase_if(found, [](CpuIsa isa) { return !offered(isa); });
  return found;
}

}  // namespace

std::vector<CpuIsa> available_cpu_isas() {
  static const std::vector<CpuIsa> found = detect();
  return found;
}

std::string_view cpu_isa_name(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kPortable:
      return "portable";
    case CpuIsa::kAvx2:
      return "avx2";
    case CpuIsa::kAvx512:
      return "avx512";
    case CpuIsa::kAmx:
      return "amx";
  }
  return "unknown";
}

const KernelTable& kernels_of(CpuIsa isa) {
#if defined(HADAL_CPU_X86)
  if (isa == CpuIsa::kAvx2) return avx2_kernels();
  if (isa == CpuIsa::kAvx512) return avx512_kernels();
  if (isa == CpuIsa::kAmx) return amx_kernels();
#endif
  HADAL_CHECK(isa == CpuIsa::kPortable, "no kernels for {}", cpu_isa_name(isa));
  return portable_kernels();
}

}  // namespace hadal::ops
