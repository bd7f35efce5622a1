// What this machine can do at most, for comparison with what a launch does: float32 multiply-adds in
// registers, and the triad a = b + s c over memory (McCalpin, 1995, "Memory bandwidth and machine balance").
#pragma once

#include <cstdint>

namespace lamina {

struct PeakKernels {
  // `rounds` times kFmaChains independent multiply-adds of whole vectors; returns a number made of all of
  // them.
  float (*multiply_add)(int64_t rounds);
  int64_t lanes;
  // a[i] = b[i] + s c[i]
  void (*triad)(const float* b, const float* c, float s, float* a, int64_t n);
};

// Hides the latency of two units with four cycles each; leaves registers for the operands.
constexpr int kFmaChains = 12;

struct MachinePeaks {
  double flops_per_second;  // a multiply-add is two
  double bytes_per_second;  // read or written; what a store reads first is not counted
};

// The best of short passes with num_threads() threads, some 50 ms in all. Where the last-level cache is
// larger than 64 MB, the bandwidth is partly the cache's.
MachinePeaks measure_machine_peaks();

}  // namespace lamina
