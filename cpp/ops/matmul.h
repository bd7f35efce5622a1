// y = x1 x2 with NumPy's rules: [..., M, K] x [..., K, N] -> [..., M, N], leading axes broadcast, a 1-D
// operand gets an axis of 1 that the result loses. And the fully connected layer: y = f(x w + b), x [..., K],
// w [K, N], b [N].
//
// Floats multiply in float32 or float64, float16 and bfloat16 with sums in float32, integers wrap; types meet
// by Keras' promotion table, int8 x int8 gives int32. Transposed and sliced views are read in place.
#pragma once

#include <tuple>

#include "base/tensor.h"
#include "ops/activation.h"

namespace lamina {

Tensor matmul(const Tensor& x1, const Tensor& x2);

// bias: null, or [N].
Tensor dense(const Tensor& x, const Tensor& w, const Tensor* bias, Activation activation);

// One pass over the output's gradient: g = dy f'(y), and db [N] = the sum of g over all leading axes. From g
// the other gradients are products: dx = g w^T, dw = x^T g. Returns (g, db); g is dy itself without an
// activation.
std::tuple<Tensor, Tensor> dense_grad(const Tensor& dy, const Tensor& y, Activation activation);

}  // namespace lamina
