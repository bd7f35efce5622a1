// Picking by integer indices. x is walked as [outer, n, inner] around `axis`; negative indices count from the
// end.
//
//   take             y[o, j, i] = x[o, indices[j], i]                 indices of any shape in place of the
//   axis take_along_axis  y[o, j, i] = x[o, indices[o, j, i], i]           indices shaped like y one_hot y[o,
//   c, i] = (indices[o, i] == c)                no 1 where the index is out of range
//
// The gradients add dy into zeros, in the order of the indices whatever the number of threads.
#pragma once

#include "base/fwd.h"
#include "ops/launch.h"

namespace lamina {

// `count` integers as 0 <= index < n; the first bad one is reported.
Status read_indices(DType dtype, const void* from, int64_t count, int64_t n, int64_t* to);
// Raises for indices that are not integers.
void check_indices(const char* op, const Tensor& indices);

Tensor take(const Tensor& x, const Tensor& indices, int64_t axis);
Tensor take_grad(const Tensor& dy, const Tensor& indices, const Shape& x_shape, int64_t axis);
Tensor take_along_axis(const Tensor& x, const Tensor& indices, int64_t axis);
Tensor take_along_axis_grad(const Tensor& dy, const Tensor& indices, const Shape& x_shape, int64_t axis);
Tensor one_hot(const Tensor& indices, int64_t num_classes, int64_t axis, DType dtype);

}  // namespace lamina
