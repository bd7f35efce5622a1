#include "ops/peak.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>

#include "base/allocator.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_KERNELS(PeakKernels, peak_kernels)

namespace {

constexpr int64_t kRounds = 20000;            // of one item: some 40 us
constexpr int64_t kItemsPerThread = 8;        // so that a thread that starts late costs little
constexpr int64_t kMaxBytes = 64 << 20;       // of the three arrays
constexpr int64_t kPiece = 1 << 14;           // floats of an item of the triad
constexpr double kSeconds = 8e-3;             // passes go on for so long
constexpr double kItemCost = 2 * kGrainCost;  // ns: every item may go to a thread of its own

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Seconds of the fastest of at least two passes.
template <class Pass>
double fastest(Pass pass) {
  const double deadline = now() + kSeconds;
  double best = 1e9;
  for (int i = 0; i < 2 || now() < deadline; ++i) {
    const double start = now();
    pass();
    best = std::min(best, now() - start);
  }
  return best;
}

double flops_per_second() {
  const int64_t items = kItemsPerThread * num_threads();
  volatile float sink = 0;
  const double seconds = fastest([&] {
    parallel_for(items, grain_for(kItemCost), [&](int64_t begin, int64_t end) {
      float sum = 0;
      for (int64_t i = begin; i < end; ++i) sum += peak_kernels().multiply_add(kRounds);
      if (begin == 0) sink = sum;
    });
  });
  (void)sink;
  return 2.0 * static_cast<double>(items * kRounds * kFmaChains * peak_kernels().lanes) / seconds;
}

// Not from the allocator: the measurement leaves no trace in its statistics and its cache.
struct Free {
  void operator()(float* p) const { ::operator delete(p, std::align_val_t(kAlignment)); }
};
std::unique_ptr<float, Free> array(int64_t floats) {
  return std::unique_ptr<float, Free>(static_cast<float*>(
      ::operator new(static_cast<size_t>(floats) * sizeof(float), std::align_val_t(kAlignment))));
}

double bytes_per_second() {
  const int64_t bytes = std::clamp<int64_t>(4 * cache_info().l3, 8 << 20, kMaxBytes);
  const int64_t n = bytes / 3 / static_cast<int64_t>(sizeof(float)) / kPiece * kPiece;
  const auto a = array(n), b = array(n), c = array(n);
  const auto each_piece = [&](auto body) {
    parallel_for(n / kPiece, grain_for(kItemCost),
                 [&](int64_t begin, int64_t end) { body(begin * kPiece, (end - begin) * kPiece); });
  };
  each_piece([&](int64_t at, int64_t size) {  // by the threads that will use them
    for (float* x : {a.get(), b.get(), c.get()}) std::fill_n(x + at, size, 1.0f);
  });
  const double seconds = fastest([&] {
    each_piece([&](int64_t at, int64_t size) {
      peak_kernels().triad(b.get() + at, c.get() + at, 0.5f, a.get() + at, size);
    });
  });
  return 3.0 * static_cast<double>(n) * sizeof(float) / seconds;
}

}  // namespace

MachinePeaks measure_machine_peaks() {
  const DenormalGuard flush;
  const double bytes = bytes_per_second();  // first: by its end the workers have found their cores
  return {flops_per_second(), bytes};
}

}  // namespace lamina
