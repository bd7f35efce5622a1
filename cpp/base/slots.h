#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace lamina {

// Memory for the chunks of a loop that run at a time, `count` (64 at most) pieces of `bytes`. The lowest free
// one is taken, so that it stays in a core's cache. Where more chunks run than there are pieces, they wait.
class Slots {
 public:
  Slots(void* memory, size_t bytes, int64_t count)
      : free_(~uint64_t{0} >> (64 - count)), memory_(static_cast<char*>(memory)), bytes_(bytes) {}

  class Slot {
   public:
    explicit Slot(Slots& slots) : slots_(slots) {
      uint64_t free = slots.free_.load(std::memory_order_acquire);
      for (;;) {
        if (free == 0) {
          std::this_thread::yield();
          free = slots.free_.load(std::memory_order_acquire);
        } else if (slots.free_.compare_exchange_weak(free, free & (free - 1), std::memory_order_acquire)) {
          break;
        }
      }
      index_ = std::countr_zero(free);
    }
    ~Slot() { slots_.free_.fetch_or(uint64_t{1} << index_, std::memory_order_release); }
    Slot(const Slot&) = delete;
    char* data() const { return slots_.memory_ + static_cast<size_t>(index_) * slots_.bytes_; }

   private:
    Slots& slots_;
    int index_;
  };

 private:
  std::atomic<uint64_t> free_;
  char* memory_;
  size_t bytes_;
};

}  // namespace lamina
