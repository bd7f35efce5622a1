// Thread backend over the compiler's OpenMP runtime; the only file that needs it.
#include <omp.h>

#include "base/parallel.h"
#include "base/parallel_backend.h"

namespace lamina {
namespace {

constinit std::atomic<bool> team_used{false};
constinit std::atomic<bool> team_lost{false};

}  // namespace

const char* thread_backend() { return "openmp"; }

void backend_run(Job& job, int threads) {
  if (team_lost.load(std::memory_order_relaxed)) return job.work(0);
  team_used.store(true, std::memory_order_relaxed);
#pragma omp parallel num_threads(threads)
  job.work(omp_get_thread_num());
}

// libgomp waits for the parent's team for ever: a child of a process that had one runs its loops on one
// thread.
void backend_after_fork() { team_lost.store(team_used.load()); }

}  // namespace lamina
