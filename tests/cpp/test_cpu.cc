#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/cpu.h"
#include "base/error.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace lamina {
namespace {

TEST(Cpu, RowsAscendFromWhatEveryCpuHas) {
  const auto rows = supported_isas();
  ASSERT_FALSE(rows.empty());
#if defined(__aarch64__)
  EXPECT_EQ(rows.front(), Isa::neon);
#else
  EXPECT_EQ(rows.front(), Isa::baseline);
#endif
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
  EXPECT_EQ(std::set<Isa>(rows.begin(), rows.end()).size(), rows.size());
}

TEST(Cpu, UnforcedRowIsTheBest) {
  EXPECT_EQ(choose_isa(nullptr), supported_isas().back());
  EXPECT_EQ(choose_isa(""), supported_isas().back());
}

TEST(Cpu, EverySupportedRowCanBeForced) {
  for (Isa row : supported_isas()) EXPECT_EQ(choose_isa(isa_name(row)), row);
}

TEST(Cpu, UnknownAndUnsupportedRowsAreErrors) {
  const auto rows = supported_isas();
  for (const char* name : {"sse9", "AVX2", "baseline ", "avx2", "avx512", "avx512_bf16", "amx", "neon"}) {
    const bool supported =
        std::any_of(rows.begin(), rows.end(), [&](Isa row) { return std::string(name) == isa_name(row); });
    if (supported) continue;
    try {
      choose_isa(name);
      ADD_FAILURE() << name;
    } catch (const ValueError& error) {
      const std::string what = error.what();
      EXPECT_EQ(what.rfind("[isa] ", 0), 0u) << what;
      EXPECT_NE(what.find(std::string("LAMINA_ISA=") + name), std::string::npos) << what;
      for (Isa row : rows) EXPECT_NE(what.find(isa_name(row)), std::string::npos) << what;
    }
  }
}

#if defined(__linux__) && defined(__x86_64__)
// The kernel lists the features that both the CPU and the saved state allow: the same as ours.
TEST(Cpu, FeaturesAreThoseOfTheKernel) {
  std::set<std::string> flags;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("flags", 0) != 0) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string word; words >> word;) flags.insert(word == "abm" ? "lzcnt" : word);
    break;
  }
  if (flags.empty()) GTEST_SKIP() << "/proc/cpuinfo has no flags";
  const auto found = cpu_features();
  for (const char* name :
       {"avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "lzcnt", "movbe", "avx512f", "avx512bw", "avx512dq",
        "avx512vl", "avx512cd", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8"}) {
    EXPECT_EQ(std::count(found.begin(), found.end(), name), static_cast<long>(flags.count(name))) << name;
  }
}

TEST(Cpu, CompilerAgreesOnTheLevels) {
  const auto rows = supported_isas();
  const auto has = [&](Isa row) { return std::count(rows.begin(), rows.end(), row) == 1; };
  EXPECT_EQ(has(Isa::avx2), __builtin_cpu_supports("x86-64-v3") != 0);
  EXPECT_EQ(has(Isa::avx512), __builtin_cpu_supports("x86-64-v4") != 0);
}
#endif

TEST(Cpu, AmxNeedsItsRow) {
  const auto rows = supported_isas();
  EXPECT_EQ(amx_available(), std::count(rows.begin(), rows.end(), Isa::amx) == 1);
}

TEST(Cpu, CachesArePlausible) {
  const CacheInfo info = cache_info();
  EXPECT_GE(info.l1d, 4 << 10);
  EXPECT_GE(info.l2, info.l1d);
  EXPECT_GE(info.l3, 256 << 10);
}

TEST(Cpu, AffinityMaskLimitsTheThreads) {
  EXPECT_GE(usable_cpus(), 1);
#if defined(__linux__)
  cpu_set_t saved, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof saved, &saved), 0);
  EXPECT_LE(usable_cpus(), CPU_COUNT(&saved));
  int first = 0;
  while (!CPU_ISSET(first, &saved)) ++first;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(usable_cpus(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof saved, &saved), 0);
#endif
}

TEST(Cpu, MemoryIsPlausible) { EXPECT_GE(usable_memory(), int64_t{16} << 20); }

class Cgroup : public testing::Test {
 protected:
  Cgroup() { std::filesystem::remove_all(root_); }
  ~Cgroup() override { std::filesystem::remove_all(root_); }
  void write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text << '\n';
  }
  const std::filesystem::path root_ =
      std::filesystem::path(testing::TempDir()) /
      (std::string("lamina_cgroup_") + testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(Cgroup, V2TakesTheTightestOnTheWayUp) {
  write("a/cpu.max", "350000 100000");
  write("a/b/cpu.max", "max 100000");
  write("a/b/memory.max", "max");
  write("a/memory.max", "1073741824");
  write("memory.max", "9999999999");
  const auto limits = cgroup_limits("0::/a/b\n", root_);
  EXPECT_EQ(limits.cpus, 3.5);
  EXPECT_EQ(limits.memory, 1073741824);
}

TEST_F(Cgroup, V1ReadsItsControllers) {
  write("cpu,cpuacct/x/cpu.cfs_quota_us", "150000");
  write("cpu,cpuacct/x/cpu.cfs_period_us", "100000");
  write("cpu,cpuacct/cpu.cfs_quota_us", "-1");
  write("cpu,cpuacct/cpu.cfs_period_us", "100000");
  write("memory/memory.limit_in_bytes", "2097152");
  const auto limits =
      cgroup_limits("5:cpuset:/x\n4:cpu,cpuacct:/x\n3:memory:/hidden/from/here\n0::/\n", root_);
  EXPECT_EQ(limits.cpus, 1.5);
  EXPECT_EQ(limits.memory, 2097152);
}

TEST_F(Cgroup, NothingThereIsNoLimit) {
  for (const char* text : {"", "0::/a/b\n", "garbage\n", "1:cpu:/\n2:memory:/\n"}) {
    const auto limits = cgroup_limits(text, root_);
    EXPECT_EQ(limits.cpus, 0);
    EXPECT_EQ(limits.memory, 0);
  }
}

}  // namespace
}  // namespace lamina
