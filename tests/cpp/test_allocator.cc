#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/allocator.h"
#include "base/cpu.h"

namespace lamina {
namespace {

class Allocator : public testing::Test {
 protected:
  Allocator() {
    trim();
    reset_peak();
    before_ = allocator_stats();
  }
  ~Allocator() override {
    EXPECT_EQ(allocator_stats().in_use, before_.in_use);
    trim();
    EXPECT_EQ(allocator_stats().cached, 0u);
  }
  AllocatorStats before_;
};

TEST_F(Allocator, ClassesAreTightAndAscending) {
  size_t last = 0;
  for (size_t bytes = 0; bytes < 100000; ++bytes) {
    const size_t size = block_size(bytes);
    ASSERT_GE(size, bytes);
    ASSERT_GE(size, last);
    ASSERT_EQ(size % 64, 0u);
    ASSERT_EQ(block_size(size), size);
    if (bytes > 192) {
      ASSERT_LE(size, bytes + bytes / 4 + 63);
    }
    last = size;
  }
  EXPECT_EQ(block_size(0), 64u);
  EXPECT_EQ(block_size(65), 128u);
  EXPECT_EQ(block_size(256), 256u);
  EXPECT_EQ(block_size(513), 640u);
  EXPECT_EQ(block_size(size_t{1} << 47), size_t{1} << 47);
}

TEST_F(Allocator, BlocksAreAlignedWritableAndApart) {
  std::vector<std::pair<char*, size_t>> blocks;
  for (size_t bytes : {0, 1, 63, 64, 65, 1000, 4096, 100000, 5 << 20, 5 << 20}) {
    char* block = static_cast<char*>(allocate(bytes));
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % kAlignment, 0u);
    std::memset(block, static_cast<int>(blocks.size() + 1), bytes);
    blocks.push_back({block, bytes});
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    for (size_t j = 0; j < blocks[i].second; ++j) ASSERT_EQ(blocks[i].first[j], static_cast<char>(i + 1));
    deallocate(blocks[i].first, blocks[i].second);
  }
  deallocate(nullptr, 8);
}

TEST_F(Allocator, ReusesBlocksOfAClass) {
  void* first = allocate(1000);
  deallocate(first, 1000);
  EXPECT_EQ(allocator_stats().cached, 1024u);
  void* second = allocate(1024);
  EXPECT_EQ(second, first);
  EXPECT_EQ(allocator_stats().cached, 0u);
  void* third = allocate(2000);
  EXPECT_NE(third, second);
  deallocate(second, 1024);
  deallocate(third, 2000);
}

TEST_F(Allocator, CountsUseAndPeak) {
  void* a = allocate(1024);
  void* b = allocate(1 << 20);
  EXPECT_EQ(allocator_stats().in_use - before_.in_use, 1024u + (1 << 20));
  deallocate(b, 1 << 20);
  EXPECT_EQ(allocator_stats().in_use - before_.in_use, 1024u);
  EXPECT_EQ(allocator_stats().peak - before_.in_use, 1024u + (1 << 20));
  EXPECT_EQ(allocator_stats().cached, size_t{1} << 20);
  reset_peak();
  EXPECT_EQ(allocator_stats().peak, allocator_stats().in_use);
  deallocate(a, 1024);
}

TEST_F(Allocator, LargeBlocksPassWhereAStepIsNotRepeated) {
  void* large = allocate(1 << 20);
  void* small = allocate(1000);
  {
    const BlocksPass pass;
    deallocate(large, 1 << 20);
    deallocate(small, 1000);
    EXPECT_EQ(allocator_stats().cached, 1024u);
  }
  deallocate(allocate(1 << 20), 1 << 20);
  EXPECT_EQ(allocator_stats().cached, 1024u + (1 << 20));
}

// Blocks between what malloc maps by itself at first and the 32 MB that its threshold may rise to.
TEST_F(Allocator, TrimmedBlocksLeaveTheProcess) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers count memory of their own";
#endif
  const auto resident = [] {
    size_t size = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> size >> pages;
    return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  };
  constexpr size_t kBytes = 3 << 20;
  const size_t before = resident();
  std::vector<void*> blocks;
  for (int i = 0; i < 20; ++i) {
    blocks.push_back(allocate(kBytes));
    std::memset(blocks.back(), 1, kBytes);
  }
  EXPECT_GE(resident(), before + 20 * kBytes);
  for (int i = 0; i < 20; i += 2) deallocate(blocks[static_cast<size_t>(i)], kBytes);
  trim();  // with others in use between them
  EXPECT_LE(resident(), before + 11 * kBytes);
  for (int i = 1; i < 20; i += 2) deallocate(blocks[static_cast<size_t>(i)], kBytes);
}

TEST_F(Allocator, CacheIsBounded) {
  const size_t limit = static_cast<size_t>(usable_memory()) / 8, bytes = block_size(limit / 5);
  std::vector<void*> blocks;
  for (int i = 0; i < 7; ++i) blocks.push_back(allocate(bytes));  // never touched: address space only
  for (void* block : blocks) {
    deallocate(block, bytes);
    EXPECT_LE(allocator_stats().cached, limit);
  }
  EXPECT_GT(allocator_stats().cached, 0u);
  trim();
  EXPECT_EQ(allocator_stats().cached, 0u);
  deallocate(allocate(2 * limit), 2 * limit);  // larger than the cache: not kept, and evicts nothing
  EXPECT_EQ(allocator_stats().cached, 0u);
}

TEST_F(Allocator, TooMuchIsAnErrorThatNamesTheBytes) {
  const size_t more_than_there_is = static_cast<size_t>(usable_memory()) + 1;
  for (size_t bytes : {more_than_there_is, size_t{1} << 47, (size_t{1} << 47) + 1, SIZE_MAX - 5, SIZE_MAX}) {
    try {
      allocate(bytes);
      ADD_FAILURE() << bytes;
    } catch (const OutOfMemory& error) {
      EXPECT_EQ(error.bytes(), bytes);
      const std::string expected = "[allocate] cannot get " + std::to_string(bytes) + " bytes";
      EXPECT_EQ(std::string(error.what()).rfind(expected, 0), 0u) << error.what();
    }
  }
  EXPECT_THROW(allocate(SIZE_MAX), std::bad_alloc);
  void* block = allocate(100);  // the process goes on
  deallocate(block, 100);
}

// With address space for one block only, the second class fits after the cache has been dropped.
TEST_F(Allocator, RefusalDropsTheCacheAndTriesAgain) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers reserve address space of their own";
#endif
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t limit = pages * sysconf(_SC_PAGESIZE) + (160u << 20);
    const rlimit cap = {limit, limit};
    setrlimit(RLIMIT_AS, &cap);
    if (mmap(nullptr, limit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) _exit(77);
    const size_t first = 96u << 20, second = 112u << 20;
    deallocate(allocate(first), first);
    if (allocator_stats().cached != first) _exit(1);
    deallocate(allocate(second), second);
    if (allocator_stats().cached != second) _exit(2);
    try {
      allocate(256u << 20);
    } catch (const OutOfMemory&) {
      _exit(allocator_stats().cached == 0 ? 0 : 3);
    }
    _exit(4);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "address space has no limit here (an emulator)";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(Allocator, ThreadsShareIt) {
  std::vector<std::thread> threads;
  std::atomic<int> torn{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &torn] {
      std::vector<std::pair<unsigned char*, size_t>> held;
      for (int i = 0; i < 4000; ++i) {
        const size_t bytes = 1 + (i * 2654435761u + t) % 3000;
        auto* block = static_cast<unsigned char*>(allocate(bytes));
        std::memset(block, t, bytes);
        held.push_back({block, bytes});
        if (held.size() < 16) continue;
        auto [oldest, size] = held[i % 16];
        held[i % 16] = held.back();
        held.pop_back();
        for (size_t j = 0; j < size; ++j) torn += oldest[j] != t;
        deallocate(oldest, size);
      }
      for (auto [block, size] : held) deallocate(block, size);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(torn, 0);
}

TEST_F(Allocator, ForkedChildCanAllocate) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer does not follow the child of a process with threads";
#endif
  std::atomic<bool> done{false}, begun{false};
  std::thread other([&] {
    while (!done) {
      deallocate(allocate(100), 100);
      begun = true;
    }
  });
  while (!begun) std::this_thread::yield();
  for (int repeat = 0; repeat < 20; ++repeat) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(20);
      for (int i = 0; i < 100; ++i) deallocate(allocate(100 + i), 100 + i);
      _exit(0);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  done = true;
  other.join();
}

#if defined(__SANITIZE_ADDRESS__)
// As a kernel does, which is built without instrumentation.
__attribute__((no_sanitize("address"))) void write_beyond(char* block, size_t bytes) { block[bytes] = 1; }

TEST(AllocatorDeathTest, WritesBeyondABlockAreFound) {
  const auto misuse = [](size_t bytes) {
    void* block = allocate(bytes);
    write_beyond(static_cast<char*>(block), bytes);
    deallocate(block, bytes);
  };
  EXPECT_DEATH(misuse(100), "byte 100 was written of a block of 100");
}
#endif

}  // namespace
}  // namespace lamina
