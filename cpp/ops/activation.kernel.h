// The vector functions of activation.h, for *.kernel.cc files: y = f(x) and dx = dy * f'(x) from y.
#pragma once

#include "ops/activation.h"
#include "simd/math.h"
#include "simd/vec.h"

namespace lamina {
namespace {

template <Activation f, class T>
LAMINA_INLINE Vec<T> activate(Vec<T> x) {
  if constexpr (f == Activation::relu)
    return select(x <= Vec<T>(T(0)), Vec<T>(T(0)), x);  // NaN passes through
  if constexpr (f == Activation::sigmoid) return sigmoid(x);
  if constexpr (f == Activation::tanh) return tanh(x);
  return x;
}

template <Activation f, class T>
LAMINA_INLINE Vec<T> activate_grad(Vec<T> dy, Vec<T> y) {
  if constexpr (f == Activation::relu) return select(y > Vec<T>(T(0)), dy, Vec<T>(T(0)));
  if constexpr (f == Activation::sigmoid) return dy * (y * (Vec<T>(T(1)) - y));
  if constexpr (f == Activation::tanh) return dy * fnma(y, y, Vec<T>(T(1)));
  return dy;
}

template <Activation f>
struct ActivationTag {
  static constexpr Activation value = f;
};

// Calls body(ActivationTag<f>{}): picks the function outside the loop.
template <class Body>
LAMINA_INLINE void with_activation(Activation f, Body body) {
  switch (f) {
    case Activation::none:
      return body(ActivationTag<Activation::none>{});
    case Activation::relu:
      return body(ActivationTag<Activation::relu>{});
    case Activation::sigmoid:
      return body(ActivationTag<Activation::sigmoid>{});
    case Activation::tanh:
      return body(ActivationTag<Activation::tanh>{});
  }
}

}  // namespace
}  // namespace lamina
