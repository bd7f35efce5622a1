// Caching allocator for tensor storage: 64-byte aligned blocks in size classes, freed blocks kept for reuse.
#pragma once

#include <cstddef>
#include <new>

namespace lamina {

// what() is "[allocate] cannot get N bytes ...".
class OutOfMemory : public std::bad_alloc {
 public:
  OutOfMemory(size_t bytes, size_t in_use) noexcept;
  const char* what() const noexcept override { return message_; }
  size_t bytes() const noexcept { return bytes_; }

 private:
  size_t bytes_;
  char message_[192];
};

inline constexpr size_t kAlignment = 64;

// Uninitialised memory, aligned to kAlignment, never null (0 bytes give a block of the smallest class).
// If the system refuses, or in_use would exceed usable_memory(), the cache is dropped; then OutOfMemory.
void* allocate(size_t bytes);

// Gives back a block of allocate(bytes), same byte count, from any thread. Null is ignored.
void deallocate(void* block, size_t bytes) noexcept;

// The size of the class that serves a request: what a block of so many bytes really occupies.
// Four classes per power of two: at most 25 % above the request (from 193 bytes on).
size_t block_size(size_t bytes);

// In bytes of block_size. peak is the largest in_use since the start or the last reset_peak().
struct AllocatorStats {
  size_t in_use, peak, cached;
};
AllocatorStats allocator_stats();
void reset_peak();

// While one is alive, freed blocks of 1 MB and more are not kept: for steps that will not be repeated, whose
// peak would else count the blocks that wait for a request of their size.
struct BlocksPass {
  BlocksPass();
  ~BlocksPass();
  BlocksPass(const BlocksPass&) = delete;
  BlocksPass& operator=(const BlocksPass&) = delete;
};

// Returns every cached block to the system. The cache also stays below 1/8 of usable_memory() by itself.
void trim();

}  // namespace lamina
