// Between parallel.cc (cutting, limits, errors) and the thread backend that the build chose.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>

namespace lamina {

// One split loop. Lives on the caller's stack; every thread that takes part calls work().
class Job {
 public:
  Job(int64_t n, int64_t chunk, int64_t count, void (*fn)(void*, int64_t, int64_t), void* ctx, bool shielded)
      : n_(n), chunk_(chunk), count_(count), fn_(fn), ctx_(ctx), shielded_(shielded) {}

  int64_t count() const { return count_; }

  // Takes chunks from the shared counter until none is left or the loop is stopped. Never throws.
  void work() noexcept;

  // After all threads have left work(): rethrows the first error by chunk index, or throws Interrupted.
  void finish();

 private:
  void stop() { next_.store(count_, std::memory_order_relaxed); }

  const int64_t n_, chunk_, count_;
  void (*const fn_)(void*, int64_t, int64_t);
  void* const ctx_;
  const bool shielded_;  // from the cancel flag, see CancelShield
  alignas(64) std::atomic<int64_t> next_{0};
  std::atomic<bool> interrupted_{false};
  std::mutex error_mutex_;
  int64_t error_chunk_ = 0;
  std::exception_ptr error_;
};

// Runs job.work() in the caller and in up to threads - 1 others, and returns when all have left it. Called by
// one thread at a time. Must also work when fewer threads, or none, can be had.
void backend_run(Job& job, int threads);

// In the child of a fork: the calling thread is the only one left.
void backend_after_fork();

}  // namespace lamina
