// concatenate: tensors side by side along one axis, the others equal; types meet by promotion.
// pad: x inside a larger tensor of a constant; `before` and `after` count the elements added on each axis.
#pragma once

#include <vector>

#include "base/fwd.h"

namespace lamina {

Tensor concatenate(const std::vector<Tensor>& xs, int64_t axis);
Tensor pad(const Tensor& x, const Dims& before, const Dims& after, double value);

}  // namespace lamina
