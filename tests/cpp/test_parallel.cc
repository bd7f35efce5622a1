#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/cpu.h"
#include "base/error.h"
#include "base/parallel.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

namespace lamina {
namespace {

class Parallel : public testing::Test {
 protected:
  ~Parallel() override {
    cancel_flag() = false;
    set_num_threads(usable_cpus());
  }
};

// A sum by blocks of fixed size, partials combined in index order, as the contract asks of reductions.
float blocked_sum(const std::vector<float>& x) {
  const int64_t block = 37, n = static_cast<int64_t>(x.size()), blocks = (n + block - 1) / block;
  std::vector<float> partial(blocks);
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      for (int64_t i = b * block; i < std::min(n, (b + 1) * block); ++i) partial[b] += x[i];
    }
  });
  float sum = 0;
  for (float p : partial) sum += p;
  return sum;
}

std::set<std::pair<int64_t, int64_t>> chunks_of(int64_t n, int64_t grain) {
  std::mutex mutex;
  std::set<std::pair<int64_t, int64_t>> chunks;
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    std::lock_guard lock(mutex);
    EXPECT_TRUE(chunks.insert({begin, end}).second);
  });
  return chunks;
}

// Starts a loop in which `threads` chunks run at the same time; false if they do not meet within 10 s.
bool threads_meet(int threads) {
  std::atomic<int> arrived{0};
  std::atomic<bool> met{true};
  parallel_for(threads, 1, [&](int64_t, int64_t) {
    ++arrived;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (arrived < threads) {
      if (std::chrono::steady_clock::now() > end) {
        met = false;
        return;
      }
      std::this_thread::yield();
    }
  });
  return met;
}

TEST_F(Parallel, ChunksCoverTheRangeAndIgnoreThreads) {
  for (int64_t n : {0, 1, 2, 63, 64, 65, 1000, 4097, 1000003}) {
    for (int64_t grain : {1, 7, 64, 5000}) {
      set_num_threads(1);
      const auto one = chunks_of(n, grain);
      int64_t next = 0;
      for (auto [begin, end] : one) {
        EXPECT_EQ(begin, next);
        EXPECT_LT(begin, end);
        next = end;
      }
      EXPECT_EQ(next, n);
      EXPECT_LE(static_cast<int64_t>(one.size()), kMaxChunks);
      for (int threads : {2, 3, 4, 7}) {
        set_num_threads(threads);
        EXPECT_EQ(chunks_of(n, grain), one) << "n=" << n << " grain=" << grain << " threads=" << threads;
      }
    }
  }
}

TEST_F(Parallel, ChunkSizes) {
  if (std::getenv("LAMINA_GRAIN")) GTEST_SKIP() << "LAMINA_GRAIN overrides the grain";
  EXPECT_EQ(chunk_size(0, 1), 1);
  EXPECT_EQ(chunk_size(100, 100), 100);
  EXPECT_EQ(chunk_size(199, 100), 199);                       // not worth two threads
  EXPECT_EQ(chunk_size(200, 100), 25);                        // then a quarter of a grain each
  EXPECT_EQ(chunk_size(210, 100), 24);                        // nearly equal: not 8 times 25 and 10
  EXPECT_EQ(chunk_size(1000, 1), 8);                          // ceil(1000 / kMaxChunks)
  EXPECT_EQ(chunk_size(1 << 20, 1), (1 << 20) / kMaxChunks);  // already a multiple of 64
  EXPECT_EQ(chunk_size(1000003, 1) % 64, 0);
  EXPECT_EQ(chunk_size(10, 0), 1);
  EXPECT_EQ(chunk_size(INT64_MAX, INT64_MAX), INT64_MAX);
  EXPECT_EQ(grain_for(kGrainCost), 1);
  EXPECT_EQ(grain_for(kGrainCost / 100), 100);
  EXPECT_EQ(grain_for(1e30), 1);
  for (double bad : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_GT(grain_for(bad), 1'000'000'000);
}

TEST_F(Parallel, SameBitsForEveryThreadCount) {
  std::vector<float> x(100003);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(i + 1);
  set_num_threads(1);
  const float expected = blocked_sum(x);
  for (int threads : {2, 3, 4, 7}) {
    set_num_threads(threads);
    for (int repeat = 0; repeat < 50; ++repeat) ASSERT_EQ(blocked_sum(x), expected) << threads << " threads";
  }
}

TEST_F(Parallel, ThreadsReallyRunTogether) {
  for (int threads : {2, 4, 3, 7, 2}) {
    set_num_threads(threads);
    EXPECT_EQ(num_threads(), threads);
    EXPECT_TRUE(threads_meet(threads)) << threads;
  }
}

TEST_F(Parallel, WakesSleepingWorkers) {
  set_num_threads(3);
  for (int repeat = 0; repeat < 20; ++repeat) {
    ASSERT_TRUE(threads_meet(3));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST_F(Parallel, SmallLoopsStayInTheCaller) {
  if (std::getenv("LAMINA_GRAIN")) GTEST_SKIP() << "LAMINA_GRAIN overrides the grain";
  set_num_threads(4);
  const auto self = std::this_thread::get_id();
  int calls = 0;
  parallel_for(100, 100, [&](int64_t begin, int64_t end) {
    EXPECT_EQ(std::this_thread::get_id(), self);
    EXPECT_FALSE(in_parallel());
    EXPECT_EQ(end - begin, 100);
    ++calls;
  });
  EXPECT_EQ(calls, 1);
}

TEST_F(Parallel, FirstExceptionByChunkWins) {
  for (int threads : {1, 2, 4, 7}) {
    set_num_threads(threads);
    for (int repeat = 0; repeat < 200; ++repeat) {
      try {
        parallel_for(64, 1, [](int64_t begin, int64_t) {
          if (begin >= 5) throw std::runtime_error(std::to_string(begin));
        });
        FAIL() << "nothing was thrown";
      } catch (const std::runtime_error& error) {
        ASSERT_STREQ(error.what(), "5");
      }
    }
  }
  EXPECT_EQ(chunks_of(10, 1).size(), 10u);
  EXPECT_THROW(parallel_for(1, 1, [](int64_t, int64_t) { throw std::runtime_error("whole"); }),
               std::runtime_error);
}

TEST_F(Parallel, CancelStopsAndIsCleared) {
  for (int threads : {1, 2, 4}) {
    set_num_threads(threads);
    std::atomic<int> ran{0}, running{0};
    EXPECT_THROW(parallel_for(128, 1,
                              [&](int64_t begin, int64_t) {
                                ++running;
                                if (begin == 3) cancel_flag() = true;
                                ++ran;
                                --running;
                              }),
                 Interrupted);
    EXPECT_EQ(running, 0);
    EXPECT_GE(ran, 4);
    EXPECT_LT(ran, 128);
    EXPECT_THROW(parallel_for(1, 1, [](int64_t, int64_t) {}), Interrupted);
    cancel_flag() = false;
    EXPECT_EQ(chunks_of(128, 1).size(), 128u);
  }
}

TEST_F(Parallel, NestedLoopsRunInline) {
  set_num_threads(4);
  std::vector<int> hits(64 * 64);
  parallel_for(64, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto self = std::this_thread::get_id();
      EXPECT_TRUE(in_parallel());
      parallel_for(64, 1, [&](int64_t b, int64_t e) {
        EXPECT_EQ(std::this_thread::get_id(), self);
        for (int64_t j = b; j < e; ++j) ++hits[i * 64 + j];
      });
      EXPECT_TRUE(in_parallel());
    }
  });
  EXPECT_FALSE(in_parallel());
  for (int h : hits) ASSERT_EQ(h, 1);
}

TEST_F(Parallel, ConcurrentCallersAndResizeUnderLoad) {
  std::vector<float> x(20011);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(i + 1);
  set_num_threads(1);
  const float expected = blocked_sum(x);
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 300; ++repeat) wrong += blocked_sum(x) != expected;
    });
  }
  std::thread resizer([&] {
    for (int i = 0; !done; ++i) {
      set_num_threads(1 + i % 5);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  for (auto& caller : callers) caller.join();
  done = true;
  resizer.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(Parallel, ForkedChildWorks) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer does not follow the child of a process with threads";
#endif
  set_num_threads(3);
  ASSERT_TRUE(threads_meet(3));
  // Another thread holds the workers while some of the forks happen. Its loops allocate nothing:
  // AddressSanitizer's allocator stays locked in a child whose parent was inside it.
  std::atomic<bool> done{false};
  std::atomic<int64_t> chunks{0};
  std::thread other([&] {
    while (!done) parallel_for(50, 1, [&](int64_t, int64_t) { ++chunks; });
  });
  while (chunks == 0) std::this_thread::yield();
  for (int repeat = 0; repeat < 10; ++repeat) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(20);
      bool ok = true;
      for (int i = 0; i < 20; ++i) {
        std::atomic<int64_t> sum{0};
        parallel_for(1000, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
        ok = ok && sum == 1000;
      }
      if (std::string(thread_backend()) == "pool") ok = ok && threads_meet(3);
      _exit(ok ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  }
  done = true;
  other.join();
  EXPECT_TRUE(threads_meet(3));
}

#if defined(__x86_64__) || defined(__aarch64__)
TEST_F(Parallel, FlushesDenormalsAndRestoresTheMode) {
  volatile float tiny = 1e-38f, tenth = 0.1f;
  const float denormal = tiny * tenth;
  ASSERT_GT(denormal, 0.0f);
  for (int threads : {1, 4}) {
    for (int64_t n : {1, 64}) {
      set_num_threads(threads);
      std::atomic<int> kept{0};
      parallel_for(n, 1, [&](int64_t, int64_t) {
        volatile float a = 1e-38f, b = 0.1f;
        if (a * b != 0.0f) ++kept;
      });
      EXPECT_EQ(kept, 0) << threads << " threads, n=" << n;
      EXPECT_EQ(tiny * tenth, denormal);
    }
  }
  EXPECT_THROW(parallel_for(8, 1, [](int64_t, int64_t) { throw std::runtime_error(""); }),
               std::runtime_error);
  EXPECT_THROW(parallel_for(1, 1, [](int64_t, int64_t) { throw std::runtime_error(""); }),
               std::runtime_error);
  EXPECT_EQ(tiny * tenth, denormal);
}
#endif

#if defined(__x86_64__)
TEST_F(Parallel, WorkersIgnoreTheCallersRounding) {
  set_num_threads(3);
  const auto thirds = [] {
    std::vector<float> out(64);
    parallel_for(64, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        volatile float one = 1, three = 3 + static_cast<float>(i);
        out[i] = one / three;
      }
    });
    return out;
  };
  const auto expected = thirds();
  const unsigned saved = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(saved | 0x6000u);  // toward zero
  const auto rounded = thirds();
  const unsigned after = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(saved);
  EXPECT_EQ(rounded, expected);
  EXPECT_EQ(after, saved | 0x6000u);
}
#endif

TEST_F(Parallel, BadThreadCountsAreErrors) {
  const int before = num_threads();
  for (int bad : {0, -1, 4097}) {
    try {
      set_num_threads(bad);
      FAIL() << bad;
    } catch (const ValueError& error) {
      EXPECT_NE(std::string(error.what()).find("[set_num_threads]"), std::string::npos);
      EXPECT_NE(std::string(error.what()).find("n=" + std::to_string(bad)), std::string::npos);
    }
  }
  EXPECT_EQ(num_threads(), before);
}

// The variables are read once a process, so each row is a child forked before main() has read them.
struct EnvironmentRow {
  const char *name, *value;
  int expected;
  int (*body)();
  int got = -1;
};

int threads_or_error() {
  try {
    return num_threads();
  } catch (const ValueError& error) {
    return std::string(error.what()).find("LAMINA_NUM_THREADS=") != std::string::npos ? 77 : 78;
  }
}
int chunk_of_100() { return static_cast<int>(chunk_size(100, 1 << 20)); }

const std::vector<EnvironmentRow> environment_rows = [] {
  std::vector<EnvironmentRow> rows = {
      {"LAMINA_NUM_THREADS", "5", 5, threads_or_error},
      {"LAMINA_NUM_THREADS", "", usable_cpus(), threads_or_error},
      {"LAMINA_NUM_THREADS", "0", 77, threads_or_error},
      {"LAMINA_NUM_THREADS", "-3", 77, threads_or_error},
      {"LAMINA_NUM_THREADS", "two", 77, threads_or_error},
      {"LAMINA_NUM_THREADS", "4x", 77, threads_or_error},
      {"LAMINA_NUM_THREADS", "99999", 77, threads_or_error},
      {"LAMINA_GRAIN", "1", 1, chunk_of_100},
      {"LAMINA_GRAIN", "30", 25, chunk_of_100},
      {"LAMINA_GRAIN", "", 100, chunk_of_100},
  };
  for (EnvironmentRow& row : rows) {
    const pid_t child = fork();
    if (child == 0) {
      setenv(row.name, row.value, 1);
      _exit(row.body());
    }
    int status = -1;
    if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status)) row.got = WEXITSTATUS(status);
  }
  return rows;
}();

TEST(ParallelEnvironment, VariablesAreReadAndChecked) {
  for (const EnvironmentRow& row : environment_rows) {
    EXPECT_EQ(row.got, row.expected) << row.name << "=" << row.value;
  }
}

}  // namespace
}  // namespace lamina
