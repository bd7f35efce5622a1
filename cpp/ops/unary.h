// Elementwise functions of one tensor: y[i] = f(x[i]), any strides, float32 and float64 (abs, negative, sign,
// square on integers too), and their gradients dx[i] = dy[i] * f'(x[i]).
#pragma once

#include "base/fwd.h"

namespace lamina {

enum class Unary : int {
#define LAMINA_UNARY(name) name,
#include "ops/unary.def"
#undef LAMINA_UNARY
  kCount
};
constexpr int kNumUnary = static_cast<int>(Unary::kCount);

// x, s, dy: n elements with the given element steps; y, dx contiguous. T is the table's type.
using UnaryFn = void (*)(const void* x, int64_t x_step, void* y, int64_t n, double alpha);
using UnaryGradFn = void (*)(const void* dy, int64_t dy_step, const void* s, int64_t s_step, void* dx,
                             int64_t n, double alpha);

struct UnaryKernels {
  UnaryFn f32[kNumUnary], f64[kNumUnary];
  UnaryGradFn grad_f32[kNumUnary], grad_f64[kNumUnary];
};

Tensor unary(Unary op, const Tensor& x, double alpha = 0);
Tensor unary_grad(Unary op, const Tensor& dy, const Tensor& s, double alpha = 0);
const char* unary_name(Unary op);

}  // namespace lamina
