// Pooling over windows of an image, NHWC, float32 and float64.
//
//   max:      y[n,i,j,c] = max over the window of x[n, i sh - top + p, j sw - left + q, c], 0 <= p < kh, 0 <=
//   q < kw average:  y[n,i,j,c] = the window's sum / number of its cells inside the image
//
// Cells outside the image take no part. padding "valid": OH = (H - kh) / sh + 1, no cells outside; "same" as
// TensorFlow has it: OH = ceil(H / sh), the missing rows split evenly with the odd one at the bottom (columns
// alike). The gradient of a maximum goes to its first place in row-major order; a NaN in the window is its
// maximum.
#pragma once

#include <utility>

#include "base/fwd.h"

namespace lamina {

enum class Pool2dOp : int {
  average,
  average_grad,
  max,
  // The index of the maximum in its window, p kw + q: one byte where kh kw <= 256, else four.
  max_index8,
  max_index32,
  max_grad8,  // dx[window cell `index`] += dy
  max_grad32,
  max_pick8,  // y = x[window cell `index`], the transpose of max_grad
  max_pick32,
  kCount
};
constexpr int kNumPool2d = static_cast<int>(Pool2dOp::kCount);

struct Pool2dArgs {
  Pool2dOp op;
  DType dtype;
  int64_t N, H, W, C, OH, OW;
  int64_t kh, kw, sh, sw, top, left;
};

// Rows [begin, end) of `out` seen as rows of pixels: N OH of y, or N H of dx. in: x, or dy for gradients.
using Pool2dFn = void (*)(const Pool2dArgs& a, const void* in, void* index, void* out, int64_t begin,
                          int64_t end);

struct Pool2dKernels {
  Pool2dFn f32[kNumPool2d], f64[kNumPool2d];
};

// pool: (kh, kw); strides: (sh, sw); same: padding "same", else "valid".
// x (N, H, W, C) -> y (N, OH, OW, C).
Tensor average_pool2d(const Tensor& x, const Dims& pool, const Dims& strides, bool same);
// dy (N, OH, OW, C) -> dx of shape x_shape.
Tensor average_pool2d_grad(const Tensor& dy, const Shape& x_shape, const Dims& pool, const Dims& strides,
                           bool same);

Tensor max_pool2d(const Tensor& x, const Dims& pool, const Dims& strides, bool same);
// (y, index): index (N, OH, OW, C), uint8 or int32, is what the gradient needs.
std::pair<Tensor, Tensor> max_pool2d_index(const Tensor& x, const Dims& pool, const Dims& strides, bool same);
Tensor max_pool2d_grad(const Tensor& dy, const Tensor& index, const Shape& x_shape, const Dims& pool,
                       const Dims& strides, bool same);
// x at the places `index` names: the gradient of max_pool2d_grad.
Tensor max_pool2d_pick(const Tensor& x, const Tensor& index, const Dims& pool, const Dims& strides,
                       bool same);

}  // namespace lamina
