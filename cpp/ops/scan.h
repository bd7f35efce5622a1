// Running sums and products along one axis:
//
//   cumsum:   y[i] = x[0] + ... + x[i]     (reverse: x[i] + ... + x[n - 1]; each is the other's gradient)
//   cumprod:  y[i] = x[0] * ... * x[i]
//   cumprod gradient, with zeros too:  dx[i] = y[i - 1] s[i],  s[i] = dy[i] + x[i + 1] s[i + 1]
//
// Floats run in float64 and are rounded as they are stored; integers wrap.
#pragma once

#include "base/fwd.h"

namespace lamina {

Tensor cumsum(const Tensor& x, int64_t axis, bool reverse);
Tensor cumprod(const Tensor& x, int64_t axis);
Tensor cumprod_grad(const Tensor& dy, const Tensor& x, int64_t axis);

}  // namespace lamina
