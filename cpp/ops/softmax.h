// softmax(x) = exp(x - m) / s and log_softmax(x) = x - m - log s along one axis, m the maximum, s = sum exp(x
// - m). Gradients from the output: softmax dx = y (dy - sum(dy y)), log_softmax dx = dy - exp(y) sum(dy). x
// is walked as lines [outer, n, inner] along the middle axis.
#pragma once

#include "base/fwd.h"

namespace lamina {

// Lines of n elements. rows: line r begins at r * n. columns: line c begins at c, its elements stride apart.
using SoftmaxFn = void (*)(const void* x, int64_t lines, int64_t n, int64_t stride, void* y);
using SoftmaxGradFn = void (*)(const void* dy, const void* y, int64_t lines, int64_t n, int64_t stride,
                               void* dx);

struct SoftmaxKernels {
  struct Pair {
    SoftmaxFn forward;
    SoftmaxGradFn grad;
  } f32[2][2], f64[2][2];  // [log][columns]
};

Tensor softmax(const Tensor& x, int64_t axis);
Tensor softmax_grad(const Tensor& dy, const Tensor& y, int64_t axis);
Tensor log_softmax(const Tensor& x, int64_t axis);
Tensor log_softmax_grad(const Tensor& dy, const Tensor& y, int64_t axis);

}  // namespace lamina
