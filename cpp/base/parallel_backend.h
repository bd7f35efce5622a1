// Between parallel.cc (cutting, limits, errors) and the thread backend that the build chose.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>

namespace lamina {

// One split loop. Lives on the caller's stack; every thread that takes part calls work().
//
// Thread t begins with the t-th part of the chunks and then helps the others: loops over the same data give
// the same part to the same core, which still has it in its cache.
class Job {
 public:
  Job(int64_t n, int64_t chunk, int64_t count, int threads, void (*fn)(void*, int64_t, int64_t), void* ctx,
      bool shielded);

  int64_t count() const { return count_; }

  // Takes chunks until none is left or the loop is stopped; the caller is thread 0. Never throws.
  void work(int thread) noexcept;

  // After all threads have left work(): rethrows the first error by chunk index, or throws Interrupted.
  void finish();

 private:
  static constexpr int kMaxParts = 16;
  struct alignas(64) Part {
    std::atomic<int64_t> next;
    int64_t end;
  };
  void run(int64_t i) noexcept;

  const int64_t n_, chunk_, count_;
  void (*const fn_)(void*, int64_t, int64_t);
  void* const ctx_;
  const bool shielded_;  // from the cancel flag, see CancelShield
  int parts_;
  Part part_[kMaxParts];
  std::atomic<bool> interrupted_{false};
  // Chunks behind the first that failed are skipped, those before it run: which error wins does not depend on
  // timing.
  std::atomic<int64_t> error_chunk_{INT64_MAX};
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

// Runs job.work() in the caller and in up to threads - 1 others, and returns when all have left it. Called by
// one thread at a time. Must also work when fewer threads, or none, can be had.
void backend_run(Job& job, int threads);

// In the child of a fork: the calling thread is the only one left.
void backend_after_fork();

}  // namespace lamina
