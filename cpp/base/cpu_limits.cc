// The share of the machine that affinity masks and cgroups leave to this process.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/cpu.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace lamina {
namespace {

template <class T>
void keep_smaller(T& limit, T value) {
  if (value > 0 && (limit == 0 || value < limit)) limit = value;
}

// v2: cpu.max is "quota period" or "max period", memory.max is bytes or "max".
void read_v2(const std::string& folder, CgroupLimits& limits) {
  double quota = 0, period = 0;
  if (std::ifstream(folder + "/cpu.max") >> quota >> period && period > 0)
    keep_smaller(limits.cpus, quota / period);
  int64_t bytes = 0;
  if (std::ifstream(folder + "/memory.max") >> bytes) keep_smaller(limits.memory, bytes);
}

// v1: a quota of -1 is none; "no limit" for memory is a number near 2^63, which physical memory cuts.
void read_v1(const std::string& folder, CgroupLimits& limits) {
  double quota = 0, period = 0;
  if (std::ifstream(folder + "/cpu.cfs_quota_us") >> quota &&
      std::ifstream(folder + "/cpu.cfs_period_us") >> period && period > 0) {
    keep_smaller(limits.cpus, quota / period);
  }
  int64_t bytes = 0;
  if (std::ifstream(folder + "/memory.limit_in_bytes") >> bytes) keep_smaller(limits.memory, bytes);
}

std::string self_cgroup() {
  std::ostringstream text;
  text << std::ifstream("/proc/self/cgroup").rdbuf();
  return text.str();
}

CgroupLimits own_limits() { return cgroup_limits(self_cgroup(), "/sys/fs/cgroup"); }

}  // namespace

CgroupLimits cgroup_limits(const std::string& proc_cgroup, const std::string& mount) {
  CgroupLimits limits{0, 0};
  std::istringstream lines(proc_cgroup);
  // A line is "id:controllers:path"; v2 is "0::path". In a container the path may be the host's, with only
  // the container's own group visible at the mount point: the walk up to the root finds that one too.
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    const bool wanted =
        ("," + controllers + ",").find(",cpu,") != std::string::npos || controllers == "memory";
    if (!v2 && !wanted) continue;
    std::string path = line.substr(second + 1);
    for (;;) {
      while (!path.empty() && path.back() == '/') path.pop_back();
      v2 ? read_v2(mount + path, limits) : read_v1(mount + "/" + controllers + path, limits);
      if (path.empty()) break;
      path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
  }
  return limits;
}

int usable_cpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  // The kernel wants a mask at least as long as its own: grow it until it fits.
  for (int capacity = 1024; capacity <= 1 << 16; capacity *= 2) {
    cpu_set_t* mask = CPU_ALLOC(capacity);
    if (mask == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(capacity);
    const bool read = sched_getaffinity(0, bytes, mask) == 0;
    if (read) cpus = CPU_COUNT_S(bytes, mask);
    CPU_FREE(mask);
    if (read) break;
  }
#endif
  const double quota = own_limits().cpus;
  if (quota > 0) cpus = std::min(cpus, static_cast<int>(std::ceil(quota)));
  return std::max(cpus, 1);
}

int64_t usable_memory() {
  static const int64_t bytes = [] {
    int64_t physical = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
    if (physical <= 0) physical = int64_t{1} << 47;
    const int64_t limit = own_limits().memory;
    return limit > 0 ? std::min(limit, physical) : physical;
  }();
  return bytes;
}

}  // namespace lamina
