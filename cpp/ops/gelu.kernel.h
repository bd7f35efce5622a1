// x times the normal distribution function (Hendrycks & Gimpel 2016, arXiv:1606.08415), as functors of
// unary.kernel.cc.
#pragma once

#include "simd/math.h"

namespace lamina {
namespace {

// P(X <= x) of the normal distribution: with a = |x|, 2^L(a) below zero, one minus that above. L is a
// polynomial for log2(erfc(a / sqrt 2)) - 1, a weighted fit of our own: the result's error is below 2^-23 on
// its larger side and 2^-18 of the value in the tail. Below -5.6 the result is 0, as 1 + erf rounds to.
LAMINA_INLINE VecF normal_distribution(VecF x) {
  constexpr float kL[] = {-0x1.000000p0f,   -0x1.26aecep0f,   -0x1.d63c3ep-2f,  -0x1.adca5cp-5f,
                          0x1.c9cd0cp-8f,   -0x1.1ecd46p-15f, -0x1.1305a8p-12f, 0x1.2ad7bap-14f,
                          -0x1.519dc0p-17f, 0x1.9fce48p-21f,  -0x1.b797acp-26f};
  // 2^r, |r| <= 1/2: exp's polynomial in r ln 2.
  constexpr float kPower[] = {0x1.000000p0f,  0x1.62e430p-1f,  0x1.ebfbdcp-3f, 0x1.c6af8ap-5f,
                              0x1.3b2e0cp-7f, 0x1.5f043cp-10f, 0x1.414e6ap-13f};
  const VecF a = abs(x), l = polynomial(a, kL), n = round_even(l);
  const VecF p = polynomial(l - n, kPower);
  const VecF tail = kVecBytes == 64 ? scale_by_power(p, n) : p * power_of_two(n);  // 1 instruction, or 4
  const VecF below = select(a >= 5.6f, VecF(0.0f), tail);
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
