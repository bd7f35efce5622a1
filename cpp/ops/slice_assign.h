// Writing a slice whose place is read as the launch runs: dst[..., at : at + n, ...] = src, n = src's size
// along the axis. For caches that grow step by step in captured steps.
#pragma once

#include "base/fwd.h"

namespace lamina {

// dst contiguous, of src's dtype and shape but for the axis; at: int64 scalar. A slice that reaches beyond
// dst is bad data.
void slice_assign(const Tensor& dst, const Tensor& src, int axis, const Tensor& at);

}  // namespace lamina
