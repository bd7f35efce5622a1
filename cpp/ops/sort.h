// Sorting along one axis, every type but the 16-bit floats. The order is NumPy's: ascending, equal elements
// in the order they came (-0 equals 0), NaN last. top_k is the same from the other end: largest first, NaN
// before any number, equal elements by rising index.
#pragma once

#include <utility>

#include "base/fwd.h"

namespace lamina {

// (sorted values, int32 indices of where they were), of x's shape.
std::pair<Tensor, Tensor> sort(const Tensor& x, int64_t axis);
// The indices alone.
Tensor argsort(const Tensor& x, int64_t axis);
// The k largest along the last axis, largest first: (values, int32 indices).
std::pair<Tensor, Tensor> top_k(const Tensor& x, int64_t k);

}  // namespace lamina
