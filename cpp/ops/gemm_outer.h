// Products C [m, n] (+)= A B in float32 of few terms, k <= 16, with a C beyond the caches, as in the weight
// gradient x^T dy of a small batch: bound by writing C, which is written in the order in which it lies and,
// where it is larger than what the next reader could find in a cache, past the caches.
//
// An element of C is one chain of fma over k, added to C where that accumulates.
#pragma once

#include <cstdint>

#include "ops/activation.h"

namespace lamina {

struct GemmArgs;

// True if this product is better made here; strides of axes of one element are 1.
bool gemm_is_outer(const GemmArgs& args);

// As gemm_cost and gemm_run, where gemm_is_outer; needs no scratch. k > 0.
double gemm_outer_cost(const GemmArgs& args);
void gemm_outer_run(const GemmArgs& args, const void* a, const void* b, const void* bias,
                    const void* residual, void* c);

// A(i, k) at a[i * a_row + k * a_col], one of them 1.
struct GemmOuter {
  const float *a, *b;
  float* c;
  int64_t m, n, k;
  int64_t a_row, a_col, b_row, c_row;
  bool accumulate;
  bool past_caches;  // all rows of C begin at a multiple of 64 bytes; not with accumulate
};

struct GemmOuterKernels {
  void (*multiply)(const GemmOuter&);
};

}  // namespace lamina
