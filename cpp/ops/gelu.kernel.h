// x times the normal distribution function (Hendrycks & Gimpel 2016, arXiv:1606.08415), as functors of
// unary.kernel.cc.
#pragma once

#include "simd/math.h"

namespace lamina {
namespace {

// P(X <= x) of the normal distribution: with a = |x|, exp(-Q(a)) / 2 below zero, one minus that above. Q is a
// polynomial through 0 for -log(erfc(a / sqrt 2)), a weighted fit of our own: the result's error is below
// 2^-24 on its larger side and 2^-20 of the value in the tail. Below -5.6 the result is 0, as 1 + erf rounds
// to.
LAMINA_INLINE VecF normal_distribution(VecF x) {
  constexpr float kQ[] = {0x1.988464p-1f,   0x1.45f13ap-2f,  0x1.29e876p-5f,   -0x1.3d52cep-8f,
                          0x1.8d9780p-16f,  0x1.7d42f8p-13f, -0x1.9e48b0p-15f, 0x1.d40912p-18f,
                          -0x1.2036f0p-21f, 0x1.30b3c8p-26f};
  const VecF a = abs(x);
  const VecF tail = exp(-(polynomial(a, kQ) * a)) * 0.5f;
  const VecF below = select(a > 5.6f, VecF(0.0f), tail);
  return select(x > 0.0f, 1.0f - below, below);
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
