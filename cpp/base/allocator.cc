#include "base/allocator.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "base/cpu.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#endif

namespace lamina {
namespace {

constexpr size_t kLargestRequest = size_t{1} << 47;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMapped = size_t{1} << 20;  // blocks of this size on are whole pages of their own
constexpr int kClasses = 4 * 48;             // up to kLargestRequest: 161

// Sizes in units of 64 bytes: 1 2 3 4 | 5 6 7 8 | 10 12 14 16 | 20 24 28 32 | ... : (5..8) << shift from 5
// on.
struct SizeClass {
  int index;
  size_t bytes;
};

SizeClass size_class(size_t bytes) {
  const size_t units = std::max<size_t>((bytes + 63) / 64, 1);
  if (units <= 4) return {static_cast<int>(units), units * 64};
  const int shift = std::bit_width(units - 1) - 3;  // keep three significant bits, rounded up
  const size_t top = ((units - 1) >> shift) + 1;
  return {static_cast<int>(4 * shift + top), (top << shift) * 64};
}

struct FreeBlock {
  FreeBlock* next;
};

// Kernels are built without ASan, which so cannot see them write beyond the bytes asked for: in its builds
// the rest of the block holds a pattern that must be whole when the block comes back.
#if defined(__SANITIZE_ADDRESS__)
constexpr unsigned char kPattern = 0xa5;

void fill_rest(void* block, size_t bytes, size_t size) {
  ASAN_UNPOISON_MEMORY_REGION(block, size);
  std::memset(static_cast<char*>(block) + bytes, kPattern, size - bytes);
}

void check_rest(const void* block, size_t bytes, size_t size) {
  const auto* p = static_cast<const unsigned char*>(block);
  for (size_t i = bytes; i < size; ++i) {
    if (p[i] == kPattern) continue;
    std::fprintf(stderr, "[allocate] byte %zu was written of a block of %zu\n", i, bytes);
    std::abort();
  }
}
#else
void fill_rest(void*, size_t, size_t) {}
void check_rest(const void*, size_t, size_t) {}
#endif

// All state behind one mutex: an uncontended lock costs less than the bookkeeping of thread-local caches.
struct Cache {
  std::mutex mutex;
  FreeBlock* free[kClasses] = {};
  size_t bytes_of[kClasses] = {};
  AllocatorStats stats = {0, 0, 0};
};
constinit Cache cache;
constinit std::atomic<int> passing{0};  // BlocksPass alive

void* map(size_t bytes) {
  const bool huge = bytes >= kHugePage;
  const size_t reserved = huge ? bytes + kHugePage : bytes;
  void* start = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return nullptr;
  if (!huge) return start;
  const size_t head = -reinterpret_cast<uintptr_t>(start) % kHugePage;
  char* block = static_cast<char*>(start) + head;
  if (head > 0) munmap(start, head);
  munmap(block + bytes, kHugePage - head);
#if defined(MADV_HUGEPAGE)
  madvise(block, bytes, MADV_HUGEPAGE);  // a hint: fewer page faults and TLB misses
#endif
  return block;
}

// malloc would keep what it once had of large blocks: its own threshold for mapping rises to 32 MB.
void* system_allocate(size_t bytes) {
  if (bytes >= kMapped) return map(bytes);
  void* block = nullptr;
  return posix_memalign(&block, kAlignment, bytes) == 0 ? block : nullptr;
}

void system_free(void* block, size_t bytes) {
  if (bytes >= kMapped) {
    munmap(block, bytes);
  } else {
    std::free(block);
  }
}

// The next three are called with the mutex held.

void* pop(int index) {
  FreeBlock* block = cache.free[index];
  if (block != nullptr) {
    cache.free[index] = block->next;
    cache.stats.cached -= cache.bytes_of[index];
  }
  return block;
}

void push(void* block, int index, size_t size) {
  cache.bytes_of[index] = size;
  cache.free[index] = new (block) FreeBlock{cache.free[index]};
  cache.stats.cached += size;
  ASAN_POISON_MEMORY_REGION(static_cast<char*>(block) + sizeof(FreeBlock), size - sizeof(FreeBlock));
}

// Frees the largest blocks first: fewest calls for the bytes.
void shrink(size_t cached) {
  for (int index = kClasses - 1; index >= 0 && cache.stats.cached > cached; --index) {
    while (cache.stats.cached > cached) {
      void* block = pop(index);
      if (block == nullptr) break;
      ASAN_UNPOISON_MEMORY_REGION(block, cache.bytes_of[index]);
      system_free(block, cache.bytes_of[index]);
    }
  }
}

size_t cache_limit() { return static_cast<size_t>(usable_memory()) / 8; }

// A child of a fork finds the mutex free whatever other threads were doing.
[[maybe_unused]] const int fork_handler =
    pthread_atfork([] { cache.mutex.lock(); }, [] { cache.mutex.unlock(); }, [] { cache.mutex.unlock(); });

}  // namespace

OutOfMemory::OutOfMemory(size_t bytes, size_t in_use) noexcept : bytes_(bytes) {
  std::snprintf(
      message_, sizeof message_,
      "[allocate] cannot get %zu bytes; %zu are in use, the process may use %lld. Received: bytes=%zu. "
      "Use smaller batches or models.",
      bytes, in_use, static_cast<long long>(usable_memory()), bytes);
}

size_t block_size(size_t bytes) { return size_class(bytes).bytes; }

void* allocate(size_t bytes) {
  if (bytes > kLargestRequest) throw OutOfMemory(bytes, allocator_stats().in_use);
  const auto [index, size] = size_class(bytes);
  void* block;
  {
    std::lock_guard lock(cache.mutex);
    AllocatorStats& stats = cache.stats;
    block = pop(index);
    if (block == nullptr) {
      const size_t usable = static_cast<size_t>(usable_memory());
      if (stats.in_use + size <= usable) {
        if (stats.in_use + stats.cached + size > usable) shrink(usable - stats.in_use - size);
        block = system_allocate(size);
        if (block == nullptr) {
          shrink(0);
          block = system_allocate(size);
        }
      }
      if (block == nullptr) throw OutOfMemory(bytes, stats.in_use);
    }
    stats.in_use += size;
    stats.peak = std::max(stats.peak, stats.in_use);
  }
  fill_rest(block, bytes, size);
  // Under ASan a use beyond the requested bytes, or after deallocate, is reported as for malloc.
  ASAN_POISON_MEMORY_REGION(block, size);
  ASAN_UNPOISON_MEMORY_REGION(block, bytes);
  return block;
}

void deallocate(void* block, size_t bytes) noexcept {
  if (block == nullptr) return;
  const auto [index, size] = size_class(bytes);
  ASAN_UNPOISON_MEMORY_REGION(block, size);
  check_rest(block, bytes, size);
  const size_t limit = cache_limit();
  std::lock_guard lock(cache.mutex);
  cache.stats.in_use -= size;
  if (size > limit || (size >= kMapped && passing > 0)) {
    system_free(block, size);
    return;
  }
  if (cache.stats.cached + size > limit) shrink(limit - size);
  push(block, index, size);
}

AllocatorStats allocator_stats() {
  std::lock_guard lock(cache.mutex);
  return cache.stats;
}

void reset_peak() {
  std::lock_guard lock(cache.mutex);
  cache.stats.peak = cache.stats.in_use;
}

BlocksPass::BlocksPass() { ++passing; }
BlocksPass::~BlocksPass() { --passing; }

void trim() {
  std::lock_guard lock(cache.mutex);
  shrink(0);
}

}  // namespace lamina
