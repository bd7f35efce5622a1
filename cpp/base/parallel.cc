#include "base/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/cpu.h"
#include "base/error.h"
#include "base/parallel_backend.h"

namespace lamina {
namespace {

constexpr int kMaxThreads = 4096;
constexpr int64_t kChunksPerGrain =
    4;  // a loop that is worth two threads is cut finely enough for them to balance

constinit std::atomic<bool> cancel{false};
constinit std::atomic<bool> workers_taken{false};  // by the one user thread whose loop is split
constinit std::atomic<int> threads_wanted{0};      // 0: not decided yet
constinit thread_local bool inside_chunk = false;
constinit thread_local bool shielded = false;  // from the cancel flag

static_assert(std::atomic<bool>::is_always_lock_free);  // cancel_flag() is for signal handlers

// The integer in an environment variable, or 0 if it is not set.
int64_t environment_count(const char* name, int64_t max) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return 0;
  char* end = nullptr;
  const long long value = std::strtoll(text, &end, 10);
  check(*end == '\0' && value >= 1 && value <= max, "parallel_for", name, " must be an integer from 1 to ",
        max, ". Received: ", name, "=", text);
  return value;
}

struct WorkersLease {
  bool held = !workers_taken.exchange(true, std::memory_order_acquire);
  ~WorkersLease() {
    if (held) workers_taken.store(false, std::memory_order_release);
  }
};

void after_fork_in_child() {
  workers_taken.store(false);
  backend_after_fork();
}

[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, after_fork_in_child);

}  // namespace

int64_t chunk_size(int64_t n, int64_t grain) {
  static const int64_t forced = environment_count("LAMINA_GRAIN", INT64_MAX);
  if (n <= 1) return 1;
  grain = std::max<int64_t>(forced > 0 ? forced : grain, 1);
  if (n / 2 < grain) return n;
  if (forced <= 0) grain = std::max<int64_t>(grain / kChunksPerGrain, 1);
  const int64_t count = std::min(kMaxChunks, n / grain + (n % grain != 0));
  int64_t chunk = n / count + (n % count != 0);
  if (count > 1 && chunk >= 1024) chunk += -chunk & 63;
  return chunk;
}

int64_t grain_for(double cost_per_item) {
  const double items = std::ceil(kGrainCost / cost_per_item);
  // Also for a cost of 0, below 0 or NaN.
  return items >= 1 && items < 1e15 ? static_cast<int64_t>(items) : int64_t{1'000'000'000'000'000};
}

int num_threads() {
  int n = threads_wanted.load(std::memory_order_relaxed);
  if (n == 0) {
    const int64_t from_environment = environment_count("LAMINA_NUM_THREADS", kMaxThreads);
    const int chosen = from_environment > 0 ? static_cast<int>(from_environment) : usable_cpus();
    // A set_num_threads() that came in between wins.
    if (threads_wanted.compare_exchange_strong(n, chosen)) n = chosen;
  }
  return n;
}

void set_num_threads(int n) {
  check(n >= 1 && n <= kMaxThreads, "set_num_threads", "the number of threads must be from 1 to ",
        kMaxThreads, ". Received: n=", n);
  threads_wanted.store(n, std::memory_order_relaxed);
}

bool in_parallel() { return inside_chunk; }

std::atomic<bool>& cancel_flag() { return cancel; }

CancelShield::CancelShield(bool on) : before_(shielded) { shielded = shielded || on; }
CancelShield::~CancelShield() { shielded = before_; }

void run_chunks(int64_t n, int64_t chunk, void (*fn)(void*, int64_t, int64_t), void* ctx) {
  if (n <= 0) return;
  if (chunk >= n) {
    if (!shielded && cancel.load(std::memory_order_relaxed)) throw Interrupted();
    DenormalGuard guard;
    fn(ctx, 0, n);
    return;
  }
  const int64_t count = (n - 1) / chunk + 1;
  const int threads = inside_chunk ? 1 : static_cast<int>(std::min<int64_t>(num_threads(), count));
  Job job(n, chunk, count, threads, fn, ctx, shielded);
  if (threads == 1) {
    job.work(0);
  } else {
    WorkersLease lease;
    if (lease.held) {
      backend_run(job, threads);
    } else {
      job.work(0);
    }
  }
  job.finish();
}

Job::Job(int64_t n, int64_t chunk, int64_t count, int threads, void (*fn)(void*, int64_t, int64_t), void* ctx,
         bool shielded)
    : n_(n), chunk_(chunk), count_(count), fn_(fn), ctx_(ctx), shielded_(shielded) {
  parts_ = std::clamp(threads, 1, kMaxParts);
  for (int i = 0; i < parts_; ++i) {
    part_[i].next.store(count * i / parts_, std::memory_order_relaxed);
    part_[i].end = count * (i + 1) / parts_;
  }
}

void Job::work(int thread) noexcept {
  DenormalGuard guard;
  const bool outer = std::exchange(inside_chunk, true);
  const CancelShield shield(shielded_);  // nested loops in a worker follow the caller
  for (int i = 0; i < parts_; ++i) {
    Part& part = part_[(thread + i) % parts_];
    for (;;) {
      const int64_t chunk = part.next.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= part.end) break;
      run(chunk);
    }
  }
  inside_chunk = outer;
}

void Job::run(int64_t i) noexcept {
  if (!shielded_ && cancel.load(std::memory_order_relaxed))
    interrupted_.store(true, std::memory_order_relaxed);
  if (interrupted_.load(std::memory_order_relaxed) || i > error_chunk_.load(std::memory_order_relaxed))
    return;
  try {
    fn_(ctx_, i * chunk_, std::min(n_, (i + 1) * chunk_));
  } catch (...) {
    std::lock_guard lock(error_mutex_);
    if (i < error_chunk_.load(std::memory_order_relaxed)) {
      error_chunk_.store(i, std::memory_order_relaxed);
      error_ = std::current_exception();
    }
  }
}

void Job::finish() {
  if (error_) std::rethrow_exception(std::move(error_));
  if (interrupted_.load(std::memory_order_relaxed)) throw Interrupted();
}

}  // namespace lamina
