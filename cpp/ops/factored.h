// Adafactor's second moments of matrices, kept as their row and column means (Shazeer and Stern, 2018). A
// gradient of shape (..., R, C) has r of shape (..., R) and c of shape (..., C); with s = g^2 + epsilon and
// b = beta_2:
//
//   r = b r + (1 - b) mean of s over columns,  c = b c + (1 - b) mean of s over rows
//   v = r / mean(r) * c
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fwd.h"
#include "ops/optimizer.h"

namespace lamina {

struct FactoredKernels {
  struct Table {
    // rows of C: r, and the sums of s over the rows, into sums.
    void (*rows)(const UpdateArgs& a, const void* g, int64_t rows, int64_t C, void* r, void* sums);
    // c from `blocks` rows of sums over R rows altogether; returns mean(r).
    double (*columns)(const UpdateArgs& a, const void* sums, int64_t blocks, int64_t R, int64_t C,
                      const void* r, void* c);
    // rows of v.
    void (*outer)(const void* r, double mean_r, const void* c, int64_t rows, int64_t C, void* v);
  };
  Table f32, f64;
};

// The last two axes of a parameter, and how many such matrices it has; none where it is not factored.
struct Matrices {
  int64_t count = 0, R = 0, C = 0;
};

size_t factored_scratch(const Matrices& shape);
// Updates r and c, writes v. a: beta_2, epsilon and what clips g.
void factored_moments(const UpdateArgs& a, const Matrices& shape, DType dtype, const void* g, void* v,
                      void* r, void* c, void* scratch);

}  // namespace lamina
