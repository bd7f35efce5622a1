// Sums per channel from blocks of kNormBlock rows: what batch and group normalisation share.
#pragma once

#include <algorithm>

#include "base/parallel.h"
#include "ops/norm.h"

namespace lamina {

template <class T>
const NormKernels::Table& norm_table() {
  if constexpr (sizeof(T) == 4) return norm_kernel_tables().f32;
  return norm_kernel_tables().f64;
}

constexpr int64_t norm_blocks(int64_t rows) { return (rows + kNormBlock - 1) / kNormBlock; }

// Which of n items to take in place of item i, so that each thread's part of a loop goes backwards: what the
// loop before it read last is still in cache, and what it read first is not.
inline int64_t backwards(int64_t i, int64_t n) {
  const int64_t parts = std::min<int64_t>(num_threads(), n), part = ((i + 1) * parts - 1) / n;
  return n * part / parts + n * (part + 1) / parts - 1 - i;
}

struct Moments {
  double mean[kNormGroup] = {}, m2[kNormGroup] = {};
};

// Moments of channels [c0, c1), at most kNormGroup, over all rows, from the blocks' (sum, m2), 2 C values a
// block: with counts n and k of what is joined, mean += d k / (n + k) and m2 += m2' + d^2 n k / (n + k),
// where d is the difference of the means.
template <class T>
Moments combine_blocks(const T* partial, int64_t rows, int64_t C, int64_t c0, int64_t c1) {
  Moments r;
  for (int64_t b = 0; b < norm_blocks(rows); ++b) {
    const double n = static_cast<double>(b * kNormBlock);
    const double k = static_cast<double>(std::min(kNormBlock, rows - b * kNormBlock));
    const double mean_weight = k / (n + k), m2_weight = n * k / (n + k), share = 1 / k;
    const T *sum = partial + 2 * b * C + c0, *m2 = sum + C;
    for (int64_t c = 0; c < c1 - c0; ++c) {
      const double d = sum[c] * share - r.mean[c];
      r.mean[c] += d * mean_weight;
      r.m2[c] += m2[c] + d * d * m2_weight;
    }
  }
  return r;
}

}  // namespace lamina
