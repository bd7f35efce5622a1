// x times the normal distribution function (Hendrycks & Gimpel 2016, arXiv:1606.08415), as functors of
// unary.kernel.cc.
#pragma once

#include "simd/math.h"

namespace lamina {
namespace {

// P(X <= x) of the normal distribution: 1/2 + x (0.12065 + R(x^2) / Q(x^2)), a fit of our own whose error is
// below 2^-26. The constant leaves the quotient little to contribute, with its roundings, where the result is
// nearly 0 or 1. At the bounds the product is a little above 1/2, so that what lies beyond gets 0 or 1.
LAMINA_INLINE VecF normal_distribution(VecF x) {
  constexpr float kBound = 5.4903f;
  constexpr float kR[] = {0x1.1cf896p-2f,  0x1.a82684p-9f,   0x1.4153b6p-10f,
                          -0x1.f4b6ep-15f, -0x1.42e5dep-19f, -0x1.083ea6p-23f};
  constexpr float kQ[] = {1.0f,           0x1.00903ep-2f, 0x1.d1cc1cp-6f, 0x1.e897e6p-10f, 0x1.30a5f4p-14f,
                          0x1.45841cp-20f};
  const VecF c = clamp(x, -kBound, kBound), z = c * c;
  const VecF slope = polynomial(z, kR) / polynomial(z, kQ) + 0.120650209f;
  return max_or_second(fma(c, slope, 0.5f), 0.0f);  // NaN gives 0: the caller multiplies by x
}
LAMINA_INLINE VecD normal_distribution(VecD x) {
  return map_lanes(x, [](double v) { return 0.5 * __builtin_erfc(-v * 0.70710678118654752); });
}

// y = x P(x); dx = dy (P(x) + x p(x)), p(x) = exp(-x^2 / 2) / sqrt(2 pi).
struct gelu_op {  // s = x
  template <class V>
  static V forward(V x, V) {
    return x * normal_distribution(x);
  }
  template <class V>
  static V grad(V dy, V x, V) {
    const V density = exp(x * x * V(-0.5)) * V(0.3989422804014327);
    // An infinite x times density 0.
    const V moment = select(density > V(0), x * density, V(0));
    return dy * (normal_distribution(x) + select(x == x, moment, x));
  }
};

// The tanh form, y = x (1 + tanh(u)) / 2 = x s with s = 1 / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3);
// dx = dy (s + x s (1 - s) 2 u').
struct gelu_tanh_op {                                                     // s = x
  static constexpr double kTwice = 1.5957691216057308, kCube = 0.044715;  // 2 sqrt(2 / pi)
  template <class V>
  static V exponential(V x) {  // e^-2u
    return exp(x * fma(x * x, V(-kTwice * kCube), V(-kTwice)));
  }
  template <class V>
  static V forward(V x, V) {
    return x / (exponential(x) + V(1));
  }
  template <class V>
  static V grad(V dy, V x, V) {
    const V b =
        clamp(x, V(-10), V(10));  // where s (1 - s) has become nothing, and its factor not yet infinite
    const V e = exponential(b), s = V(1) / (e + V(1));
    const V slope = fma(b * b, V(3 * kTwice * kCube), V(kTwice));
    return dy * fma(b * slope, s * s * e, s);
  }
};

}  // namespace
}  // namespace lamina
