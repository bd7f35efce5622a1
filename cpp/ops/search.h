// Where values belong in a sorted line, and how often integers occur.
#pragma once

#include "base/fwd.h"

namespace lamina {

// int32 places at which `values` would keep `sequence` (1-D, ascending, NaN last) sorted: before equal
// elements, or (right) after them. Both meet by promotion. The order of the sequence is not checked.
Tensor searchsorted(const Tensor& sequence, const Tensor& values, bool right);

// Per row of x, (n,) or (rows, n) integers from 0 to length - 1: y[v] = number of v, int32; or, with weights
// of x's shape, the sum of the weights of v in the order they come, in the type that both promote to, at
// least int32.
Tensor bincount(const Tensor& x, const Tensor* weights, int64_t length);

}  // namespace lamina
