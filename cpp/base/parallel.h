// parallel_for: the one way work is spread over threads.
//
// Chunk boundaries follow from n and grain alone, never from the number of threads. Contract for bodies:
//   - the result of index i does not depend on where the range was cut (SIMD tails use the same body);
//   - chunks write disjoint memory;
//   - a reduction makes blocks of a fixed size its items, stores one partial per block and combines the
//   partials
//     in index order after the loop.
// With that, results have the same bits for every thread count, backend and LAMINA_GRAIN.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>

namespace lamina {

// Raised by a loop that stopped because cancel_flag() was set; parts of its outputs are unwritten.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override {
    return "[parallel_for] interrupted before all chunks had run.";
  }
};

// Upper bound on the number of chunks of one loop.
inline constexpr int64_t kMaxChunks = 128;

// Work worth handing to a second thread, in nanoseconds on one thread: what it costs to bring data that one
// core has just written to another, more than to wake a thread.
inline constexpr double kGrainCost = 13e3;

// Items per chunk for a loop over n: all of them below two grains (LAMINA_GRAIN if set), else a quarter of a
// grain, so that threads balance; at most kMaxChunks chunks of nearly equal size, long chunks a multiple of
// 64 items so that contiguous data is cut at cache lines.
int64_t chunk_size(int64_t n, int64_t grain);

// Items whose total cost reaches kGrainCost; cost_per_item is a rough count of nanoseconds.
int64_t grain_for(double cost_per_item);

// Calls fn(ctx, begin, end) over [0, n) in chunks of the given size. A loop of one chunk, with one thread,
// inside another split loop, or while another user thread holds the workers runs in the caller. The exception
// of the lowest-numbered failing chunk is rethrown after every chunk under way has ended.
void run_chunks(int64_t n, int64_t chunk, void (*fn)(void* ctx, int64_t begin, int64_t end), void* ctx);

// Calls body(begin, end) over chunks of [0, n), see the contract above. Throws what the body throws, or
// Interrupted.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& body) {
  using Body = std::remove_reference_t<F>;
  run_chunks(
      n, chunk_size(n, grain),
      [](void* ctx, int64_t begin, int64_t end) { (*static_cast<Body*>(ctx))(begin, end); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

// Threads a loop may use, the caller included: LAMINA_NUM_THREADS or else usable_cpus(). May be set at any
// time, from any thread; takes effect with the next loop. Values below 1 (or above 4096) raise ValueError.
int num_threads();
void set_num_threads(int n);

// "pool" or "openmp", fixed by the build.
const char* thread_backend();

// True inside a chunk of a loop that was split (a loop of a single chunk does not count: loops in it may
// split).
bool in_parallel();

// Process-wide; may be set from a signal handler. Read before every chunk: while it is set, loops skip what
// is left, wait for the chunks under way and throw Interrupted. Whoever set it, or catches Interrupted,
// clears it.
std::atomic<bool>& cancel_flag();

// In this scope (of one thread, and the loops it starts) the cancel flag is not read: for launches that
// update tensors in place and must not stop half-way.
class CancelShield {
 public:
  explicit CancelShield(bool on);
  ~CancelShield();
  CancelShield(const CancelShield&) = delete;
  CancelShield& operator=(const CancelShield&) = delete;

 private:
  bool before_;
};

// Fixes the floating-point mode kernels run in (denormals flushed, round to nearest, no traps) and restores
// the caller's mode and sticky flags at the end of the scope. No-op on machines without a known control
// register.
class DenormalGuard {
 public:
  DenormalGuard() : saved_(read()) { write(kMode | (saved_ & kSticky)); }
  ~DenormalGuard() { write(saved_); }
  DenormalGuard(const DenormalGuard&) = delete;
  DenormalGuard& operator=(const DenormalGuard&) = delete;

 private:
#if defined(__x86_64__)
  using Word = unsigned;
  static constexpr Word kMode = 0x1f80 | 1u << 15 | 1u << 6;  // MXCSR: exceptions masked, FTZ, DAZ
  static constexpr Word kSticky = 0x3f;  // a write that changes these costs 70 ns, else 3 ns
  static Word read() { return __builtin_ia32_stmxcsr(); }
  static void write(Word w) { __builtin_ia32_ldmxcsr(w); }
#elif defined(__aarch64__)
  using Word = uint64_t;
  static constexpr Word kMode = uint64_t{1} << 24;  // FPCR: FZ
  static constexpr Word kSticky = 0;                // they live in FPSR
  static Word read() {
    Word w;
    __asm__ volatile("mrs %0, fpcr" : "=r"(w));
    return w;
  }
  static void write(Word w) { __asm__ volatile("msr fpcr, %0" ::"r"(w)); }
#else
  using Word = int;
  static constexpr Word kMode = 0, kSticky = 0;
  static Word read() { return 0; }
  static void write(Word) {}
#endif
  Word saved_;
};

}  // namespace lamina
