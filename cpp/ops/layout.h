// Moving elements without arithmetic: copies, conversions, selection, fills. Any strides in, contiguous out.
#pragma once

#include "base/tensor.h"

namespace lamina {

// y = x in another type. Floats to integers truncate toward zero and saturate; NaN gives 0; to bool is x !=
// 0.
Tensor cast(const Tensor& x, DType dtype);

// x as int64; a value that is no whole number is bad data.
Tensor one_hot_indices(const Tensor& x);

// x itself where it is contiguous, else a contiguous copy.
Tensor contiguous(const Tensor& x);

// A contiguous copy, always.
Tensor copy(const Tensor& x);

// Same elements, new shape; at most one dimension -1 is inferred. A view where x is contiguous, else a copy.
Tensor reshape(const Tensor& x, const Shape& shape);

// dst[...] = src, broadcast and cast. dst may be any view; its storage's version counts the write.
void assign(const Tensor& dst, const Tensor& src);

// y = condition ? a : b, broadcast over all three; a and b meet by promotion, condition is bool.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

Tensor full(const Shape& shape, double value, DType dtype);

}  // namespace lamina
