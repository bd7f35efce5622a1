// What the microbenchmarks share: random operands, and rates beside the machine's measured peaks.
#pragma once

#include <benchmark/benchmark.h>

#include <cstring>

#include "ops/layout.h"
#include "ops/peak.h"
#include "ops/random.h"

namespace lamina {

// float32 values in [low, high), the same in every run.
inline Tensor uniform(const Shape& shape, double low = -1, double high = 1) {
  const Tensor state = full({3}, 0, DType::kInt64);
  return random_uniform(state, shape, DType::kFloat32, low, high);
}

inline double bytes_of(const Tensor& x) { return static_cast<double>(x.size()) * itemsize(x.dtype()); }

inline const MachinePeaks& peaks() {
  static const MachinePeaks found = measure_machine_peaks();
  return found;
}

// GFLOP/s and GB/s of an iteration of so many operations (a multiply-add is two) and of bytes read and
// written at least, and each in percent of the float32 multiply-add peak and of the triad over memory.
inline void rates(benchmark::State& state, double flops, double bytes) {
  const auto rate = [](double amount) {
    return benchmark::Counter(amount, benchmark::Counter::kIsIterationInvariantRate);
  };
  if (flops > 0) {
    state.counters["GFLOP/s"] = rate(flops * 1e-9);
    state.counters["%peak"] = rate(100 * flops / peaks().flops_per_second);
  }
  state.counters["GB/s"] = rate(bytes * 1e-9);
  state.counters["%triad"] = rate(100 * bytes / peaks().bytes_per_second);
}

}  // namespace lamina
