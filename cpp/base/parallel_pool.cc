// Thread backend of our own: persistent workers that spin for 50 us and then sleep.
//
// A launch opens the gate, wakes sleepers, works itself, closes the gate and waits for the workers that came
// in:
//
//   gate_:  bit 31 open | bits 0..30 workers inside
//
// Workers that wake too late find the gate closed and never touch the job, so a launch does not wait for a
// worker that the system has not scheduled. Workers are detached and the pool is never destroyed: nothing to
// join at exit.
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <new>
#include <system_error>
#include <thread>

#include "base/cpu.h"
#include "base/parallel.h"
#include "base/parallel_backend.h"

namespace lamina {
namespace {

constexpr auto kSpin = std::chrono::microseconds(50);
constexpr uint32_t kOpen = 1u << 31;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Spins until done() or the time is over; returns done().
template <class Done>
bool spin_until(bool allowed, Done done) {
  if (done()) return true;
  if (!allowed) return false;
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

class Pool {
 public:
  // One caller at a time (parallel.cc keeps that).
  void run(Job& job, int threads) {
    resize(threads_wanted(threads));
    job_ = &job;
    gate_.store(kOpen, std::memory_order_release);
    announce(static_cast<int>(std::min<int64_t>(threads, job.count())) - 1);
    job.work(0);
    gate_.fetch_and(~kOpen, std::memory_order_seq_cst);
    const auto empty = [this] { return gate_.load(std::memory_order_seq_cst) == 0; };
    if (spin_until(may_spin_, empty)) return;
    std::unique_lock lock(mutex_);
    caller_sleeps_.store(true);
    left_.wait(lock, empty);
    caller_sleeps_.store(false);
  }

 private:
  // Workers follow num_threads(), not this loop's number of chunks: small loops do not shrink the pool.
  static int threads_wanted(int threads) { return std::max(threads, num_threads()) - 1; }

  void resize(int workers) {
    if (workers == wanted_.load(std::memory_order_relaxed)) return;
    may_spin_ = workers < usable_cpus();
    std::unique_lock lock(mutex_);
    const int before = alive_;
    wanted_.store(workers);
    if (before > workers) {
      generation_.fetch_add(1);
      wake_.notify_all();
      left_.wait(lock, [&] { return alive_ <= workers; });
    }
    for (int index = before; index < workers; ++index) {
      if (!start(index)) {  // fewer threads: the loop is shared among those there are; the next resize tries
                            // again
        wanted_.store(index);
        break;
      }
      ++alive_;
    }
  }

  // All signals stay with the program's own threads.
  bool start(int index) {
    sigset_t all, saved;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved);
    bool started = true;
    try {
      std::thread(&Pool::worker, this, index, generation_.load()).detach();
    } catch (const std::system_error&) {
      started = false;
    }
    pthread_sigmask(SIG_SETMASK, &saved, nullptr);
    return started;
  }

  // A sleeper counts itself and then looks at the generation; here the generation moves and then the count is
  // read (both seq_cst): one of the two sees the other.
  void announce(int helpers) {
    generation_.fetch_add(1);
    if (sleepers_.load() == 0) return;
    { std::lock_guard lock(mutex_); }
    if (helpers >= wanted_.load(std::memory_order_relaxed)) {
      wake_.notify_all();
    } else {
      while (helpers-- > 0) wake_.notify_one();
    }
  }

  void worker(int index, uint64_t seen) {
    for (;;) {
      const auto called = [&] { return generation_.load() != seen; };
      if (!spin_until(may_spin_, called)) {
        std::unique_lock lock(mutex_);
        sleepers_.fetch_add(1);
        wake_.wait(lock, called);
        sleepers_.fetch_sub(1);
      }
      seen = generation_.load();
      if (index >= wanted_.load()) break;
      if (enter()) {
        job_->work(index + 1);
        leave();
      }
    }
    std::lock_guard lock(mutex_);
    --alive_;
    left_.notify_all();
  }

  bool enter() {
    uint32_t gate = gate_.load(std::memory_order_relaxed);
    while (gate & kOpen) {
      if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire, std::memory_order_relaxed))
        return true;
    }
    return false;
  }

  void leave() {
    const bool closed_and_last = gate_.fetch_sub(1, std::memory_order_seq_cst) == 1;
    if (closed_and_last && caller_sleeps_.load()) {
      { std::lock_guard lock(mutex_); }
      left_.notify_all();
    }
  }

  Job* job_ = nullptr;  // written while the gate is closed and nobody is inside
  alignas(64) std::atomic<uint32_t> gate_{0};
  alignas(64) std::atomic<uint64_t> generation_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<int> wanted_{0};
  std::atomic<bool> may_spin_{true};  // false when there are more threads than CPUs
  std::atomic<bool> caller_sleeps_{false};
  std::mutex mutex_;
  std::condition_variable wake_, left_;
  int alive_ = 0;  // guarded by mutex_
};

alignas(Pool) unsigned char pool_memory[sizeof(Pool)];
Pool* pool = new (pool_memory) Pool;

}  // namespace

const char* thread_backend() { return "pool"; }

void backend_run(Job& job, int threads) { pool->run(job, threads); }

// The workers are gone and mutexes may be held by threads that no longer exist: start over in the same
// memory.
void backend_after_fork() { pool = new (pool_memory) Pool; }

}  // namespace lamina
