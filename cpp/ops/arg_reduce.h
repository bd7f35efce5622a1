// argmax and argmin along one axis: the int32 index of the first extreme element; a NaN is more extreme than
// any number.
#pragma once

#include <cstdint>
#include <optional>

#include "base/fwd.h"

namespace lamina {

// rows: line r is x[r * n .. r * n + n). columns: line c is x[c], x[c + stride], ... n elements.
using ArgFn = void (*)(const void* x, int64_t lines, int64_t n, int64_t stride, int32_t* y);

struct ArgReduceKernels {
  ArgFn f32[2][2], f64[2][2], i32[2][2], i64[2][2];  // [min][columns]
};

// axis none: over all elements in row order. keepdims keeps reduced axes with size 1.
Tensor argmax(const Tensor& x, std::optional<int64_t> axis, bool keepdims);
Tensor argmin(const Tensor& x, std::optional<int64_t> axis, bool keepdims);

}  // namespace lamina
