// Reductions over any axes: y[kept] = fold of x[kept, reduced], fold in {sum, prod, max, min}, and mean = sum
// / count.
//
// x is walked as [outer, n, inner], one run of reduced axes after the other, the last run first. Sums are
// pairwise in blocks of fixed size, so that their bits do not depend on threads. NaN propagates through max
// and min.
#pragma once

#include <optional>

#include "base/fwd.h"

namespace lamina {

enum class Fold : int { kSum, kProd, kMax, kMin };
constexpr int kNumFolds = 4;

// y[r] = fold(x[r * stride], ..., x[r * stride + n - 1]), n >= 1.
using FoldRowsFn = void (*)(const void* x, int64_t stride, int64_t rows, int64_t n, void* y);
// y[c] = fold over rows of x[row * stride + c], c < cols, and over one more row for c < tail.
using FoldColumnsFn = void (*)(const void* x, int64_t stride, int64_t rows, int64_t cols, int64_t tail,
                               void* y);

struct ReduceKernels {
  struct Pair {
    FoldRowsFn rows;
    FoldColumnsFn columns;
  } f32[kNumFolds], f64[kNumFolds], i32[kNumFolds], i64[kNumFolds];
  void (*divide_f32)(void* y, int64_t n, double by);  // y[i] /= by
  void (*divide_f64)(void* y, int64_t n, double by);
};

using Axes = std::optional<Dims>;  // none: every axis. No axes at all reduces nothing.

// Integers stay as they are; bool, int8 and uint8 sum and multiply in int32; the mean of integers is float32.
Tensor sum(const Tensor& x, const Axes& axes, bool keepdims);
Tensor prod(const Tensor& x, const Axes& axes, bool keepdims);
Tensor max(const Tensor& x, const Axes& axes, bool keepdims);
Tensor min(const Tensor& x, const Axes& axes, bool keepdims);
Tensor mean(const Tensor& x, const Axes& axes, bool keepdims);
// Truth of values (x != 0); bool.
Tensor any(const Tensor& x, const Axes& axes, bool keepdims);
Tensor all(const Tensor& x, const Axes& axes, bool keepdims);

// Sums x over what broadcasting grew: the gradient of broadcast_to(., x.shape) from `shape`.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace lamina
