// What this machine has: instruction-set rows, caches, and the share of CPUs and memory the process may use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lamina {

// Rows of cmake/isa.cmake, best last within one architecture; a kernel file without a row falls back to the
// next.
//   baseline     x86-64-v2; the plain instruction set on machines not named here
//   avx2         x86-64-v3: AVX2, FMA, BMI1, BMI2, F16C, LZCNT, MOVBE
//   avx512       x86-64-v4: AVX-512 F, BW, DQ, VL, CD
//   avx512_bf16  + AVX512-VNNI, AVX512-BF16
//   amx          + AMX tile, bf16, int8, and the kernel's permission to use tile data
//   neon         AArch64, the only row there
enum class Isa { baseline, avx2, avx512, avx512_bf16, amx, neon };

const char* isa_name(Isa isa);

// Every row this machine can run, ascending. Found by CPUID feature bits and the OS's saved state, never by
// vendor.
std::vector<Isa> supported_isas();

// The row in use: LAMINA_ISA, or the best supported row. Decided at the first call. An unknown or unsupported
// LAMINA_ISA raises ValueError naming the supported rows.
Isa isa();

// The row isa() would choose if LAMINA_ISA were `forced` (null or empty: not set).
Isa choose_isa(const char* forced);

// True if AMX tiles exist and the kernel lets this process use them (asked once, at the first call).
bool amx_available();

// Names of the detected features, e.g. "avx2", "fma", "avx512_bf16"; for reports.
std::vector<std::string> cpu_features();

// Bytes per core (l1d, l2) and per package (l3); sizes that the system hides are 32 KiB, 512 KiB, 4 MiB.
struct CacheInfo {
  int64_t l1d, l2, l3;
};
CacheInfo cache_info();

// CPUs this process may use: its affinity mask, cut by the cgroup (v1 or v2) CPU quota rounded up; at
// least 1.
int usable_cpus();

// Bytes this process may use: physical memory, cut by the cgroup (v1 or v2) limit.
int64_t usable_memory();

// Smallest CPU quota (in CPUs) and memory limit (in bytes) on the way from the process's cgroup to the root;
// 0 where there is none. `proc_cgroup` is the text of /proc/self/cgroup, `mount` usually /sys/fs/cgroup.
struct CgroupLimits {
  double cpus;
  int64_t memory;
};
CgroupLimits cgroup_limits(const std::string& proc_cgroup, const std::string& mount);

}  // namespace lamina
