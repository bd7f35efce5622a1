#include "base/cpu.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#endif

namespace lamina {
namespace {

struct Feature {
  const char* name;
  Isa row;  // the lowest row that needs it
  bool present;
};

#if defined(__x86_64__)

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);  // all 0 where the leaf does not exist
  return r;
}

// XCR0: the register state that the operating system saves.
uint64_t saved_state() {
  if (!(cpuid(1).ecx >> 27 & 1)) return 0;  // OSXSAVE
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// Bit positions: Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E.
std::vector<Feature> detect() {
  const Registers l1 = cpuid(1), l7 = cpuid(7), l7_1 = l7.eax >= 1 ? cpuid(7, 1) : Registers{};
  const Registers ext = cpuid(0x80000001);
  const uint64_t state = saved_state();
  const bool ymm = (state & 0x6) == 0x6, zmm = (state & 0xe6) == 0xe6, tiles = (state & 0x60006) == 0x60006;
  const auto bit = [](unsigned r, int i) { return (r >> i & 1) != 0; };
  return {
      {"avx", Isa::avx2, ymm && bit(l1.ecx, 28)},
      {"avx2", Isa::avx2, ymm && bit(l7.ebx, 5)},
      {"fma", Isa::avx2, ymm && bit(l1.ecx, 12)},
      {"f16c", Isa::avx2, ymm && bit(l1.ecx, 29)},
      {"bmi1", Isa::avx2, bit(l7.ebx, 3)},
      {"bmi2", Isa::avx2, bit(l7.ebx, 8)},
      {"lzcnt", Isa::avx2, bit(ext.ecx, 5)},
      {"movbe", Isa::avx2, bit(l1.ecx, 22)},
      {"avx512f", Isa::avx512, zmm && bit(l7.ebx, 16)},
      {"avx512bw", Isa::avx512, zmm && bit(l7.ebx, 30)},
      {"avx512dq", Isa::avx512, zmm && bit(l7.ebx, 17)},
      {"avx512vl", Isa::avx512, zmm && bit(l7.ebx, 31)},
      {"avx512cd", Isa::avx512, zmm && bit(l7.ebx, 28)},
      {"avx512_vnni", Isa::avx512_bf16, zmm && bit(l7.ecx, 11)},
      {"avx512_bf16", Isa::avx512_bf16, zmm && bit(l7_1.eax, 5)},
      {"amx_tile", Isa::amx, tiles && bit(l7.edx, 24)},
      {"amx_bf16", Isa::amx, tiles && bit(l7.edx, 22)},
      {"amx_int8", Isa::amx, tiles && bit(l7.edx, 25)},
  };
}

// arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA): for the whole process, threads and children to come included.
bool request_tile_data() {
#if defined(__linux__)
  return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
  return false;
#endif
}

constexpr Isa kRows[] = {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx};

#elif defined(__aarch64__)

std::vector<Feature> detect() { return {{"asimd", Isa::neon, true}}; }  // part of every AArch64
constexpr Isa kRows[] = {Isa::neon};

#else

std::vector<Feature> detect() { return {}; }
constexpr Isa kRows[] = {Isa::baseline};

#endif

const std::vector<Feature>& features() {
  static const std::vector<Feature> found = detect();
  return found;
}

// True if every feature of the row, and of the rows below it, is there.
bool has_features(Isa row) {
  return std::all_of(features().begin(), features().end(),
                     [&](const Feature& f) { return f.row > row || f.present; });
}

// "48K" and the like from sysfs; 0 if unreadable.
int64_t sysfs_cache(int level) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder = concat("/sys/devices/system/cpu/cpu0/cache/index", index, '/');
    int found_level = 0;
    std::string type, size;
    if (!(std::ifstream(folder + "level") >> found_level)) return 0;
    std::ifstream(folder + "type") >> type;
    std::ifstream(folder + "size") >> size;
    if (found_level != level || type == "Instruction" || size.empty()) continue;
    const int shift = size.back() == 'K' ? 10 : size.back() == 'M' ? 20 : 0;
    return std::strtoll(size.c_str(), nullptr, 10) << shift;
  }
  return 0;
}

int64_t cache_size(int sysconf_name, int level, int64_t otherwise) {
  int64_t bytes = sysconf_name >= 0 ? sysconf(sysconf_name) : 0;
  if (bytes <= 0) bytes = sysfs_cache(level);
  return bytes > 0 ? bytes : otherwise;
}

}  // namespace

const char* isa_name(Isa isa) {
  static constexpr const char* kNames[] = {"baseline", "avx2", "avx512", "avx512_bf16", "amx", "neon"};
  return kNames[static_cast<int>(isa)];
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> rows;
  for (Isa row : kRows) {
    if (has_features(row) && (row != Isa::amx || amx_available())) rows.push_back(row);
  }
  return rows;
}

Isa choose_isa(const char* forced) {
  const std::vector<Isa> rows = supported_isas();
  if (forced == nullptr || *forced == '\0') return rows.back();
  std::string names;
  for (Isa row : rows) {
    if (std::string(forced) == isa_name(row)) return row;
    names += concat(names.empty() ? "" : ", ", isa_name(row));
  }
  fail("isa", "LAMINA_ISA must name a row that this machine supports: ", names,
       ". Received: LAMINA_ISA=", forced, ". Unset it to use the best one.");
}

Isa isa() {
  static const Isa chosen = choose_isa(std::getenv("LAMINA_ISA"));
  return chosen;
}

bool amx_available() {
#if defined(__x86_64__)
  static const bool available = has_features(Isa::amx) && request_tile_data();
  return available;
#else
  return false;
#endif
}

std::vector<std::string> cpu_features() {
  std::vector<std::string> names;
  for (const Feature& f : features()) {
    if (f.present) names.push_back(f.name);
  }
  return names;
}

CacheInfo cache_info() {
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  constexpr int kNames[] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE};
#else
  constexpr int kNames[] = {-1, -1, -1};
#endif
  static const CacheInfo info = {cache_size(kNames[0], 1, 32 << 10), cache_size(kNames[1], 2, 512 << 10),
                                 cache_size(kNames[2], 3, 4 << 20)};
  return info;
}

}  // namespace lamina
