// exp, log and their kin over Vec<float>, written once for every row, and over Vec<double> by libm lane by
// lane (gradient checks only).
//
// The float functions are within 2.5 units in the last place wherever argument and true result are normal
// numbers, and follow C's Annex F at zeros, infinities, NaN, overflow and underflow. Argument reductions are
// those of Cody and Waite, "Software Manual for the Elementary Functions" (1980), with the two-part ln 2 of
// the Cephes library (its first part has 9 bits, so its product with an exponent is exact). Every polynomial
// is a minimax fit of our own: Remez exchange at 150 bits on the error relative to the function, rounded to
// float; each is given with its error.
#pragma once

#include "vec.h"

namespace lamina {
namespace {

constexpr float kInfF = __builtin_inff();
constexpr float kNaNF = __builtin_nanf("");
constexpr float kLog2e = 1.44269504f;
constexpr float kLn2High = 0.693359375f;
constexpr float kLn2Low = -2.12194440e-4f;  // ln 2 - kLn2High

// c[0] + x * (c[1] + x * (...)), Horner's rule.
template <int N>
LAMINA_INLINE VecF polynomial(VecF x, const float (&c)[N]) {
  VecF r = c[N - 1];
  for (int i = N - 2; i >= 0; --i) r = fma(r, x, c[i]);
  return r;
}

// x = n ln 2 + r with integral n and |r| <= ln 2 / 2.
LAMINA_INLINE VecF reduce_ln2(VecF x, VecF& n) {
  n = round_even(x * kLog2e);
  return fnma(n, kLn2Low, fnma(n, kLn2High, x));
}

// a / b within 1.5 units in the last place, without the divider, which square roots need too: 1 / b from a
// linear guess on the bits (error below 2^-3), then twice r += r (e + e^2) with e = 1 - b r, which cubes the
// error. Vectors with a b outside of [2^-100, 2^100], and rows without fma, divide.
LAMINA_INLINE VecF quotient(VecF a, VecF b) {
  if constexpr (kVecBytes <= 16) return a / b;
  if (!all((b > 0x1p-100f) & (b < 0x1p100f))) return a / b;
  VecF r = bit_cast<float>(VecI(0x7ef311c3) - bit_cast<int32_t>(b));
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const VecF e = fnma(b, r, 1.0f);
    r = fma(fma(e, e, e), r, r);
  }
  return a * r;
}
LAMINA_INLINE VecD quotient(VecD a, VecD b) { return a / b; }

// A function as a quotient with a denominator from 1 to 2^26, for users that divide several at once.
template <class T>
struct Ratio {
  Vec<T> above, below;
  LAMINA_INLINE Vec<T> value() const { return above / below; }
};

// a / a', b / b' by one division, each within 2 units in the last place: the divider takes as long as a dozen
// multiplications. A NaN in one makes all NaN.
template <class T>
LAMINA_INLINE void divide(Ratio<T> a, Ratio<T> b, Vec<T>& p, Vec<T>& q) {
  const Vec<T> r = Vec<T>(T(1)) / (a.below * b.below);
  p = a.above * (b.below * r);
  q = b.above * (a.below * r);
}
// Likewise of three, within 3 units.
template <class T>
LAMINA_INLINE void divide(Ratio<T> a, Ratio<T> b, Ratio<T> c, Vec<T>& p, Vec<T>& q, Vec<T>& s) {
  const Vec<T> two = a.below * b.below, r = Vec<T>(T(1)) / (two * c.below), rest = c.below * r;
  p = a.above * (b.below * rest);
  q = b.above * (a.below * rest);
  s = c.above * (two * r);
}

// e^r 2^n for x = n ln 2 + r, n rounded by adding 1.5 * 2^23.
LAMINA_INLINE VecF exp(VecF x) {
  // e^r = 1 + r + r^2 Q(r), relative error 2^-28.
  constexpr float kQ[] = {0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558f2p-5f, 0x1.123a20p-7f, 0x1.6a23d6p-10f};
  constexpr float kShift = 0x1.8p23f;
  // Normal results of rows without an instruction that scales: n is added to the exponent.
  const bool normal = kVecBytes < 64 && all(abs(x) < 87.0f);
  // Outside these bounds the result is 0 or infinity, which the scaling still produces.
  if (!normal) x = clamp(x, -104.0f, 89.0f);
  const VecF shifted = fma(x, kLog2e, kShift), n = shifted - kShift;
  const VecF r = fnma(n, kLn2Low, fnma(n, kLn2High, x));
  const VecF y = fma(fma(polynomial(r, kQ), r, 1.0f), r, 1.0f);
  if (normal) return bit_cast<float>(bit_cast<int32_t>(y) + (bit_cast<int32_t>(shifted) << 23));
  return scale_by_power(y, n);
}

// e^r - 1 = r + r^2 Q(r) for |r| <= ln 2 / 2, relative error 2^-31.
LAMINA_INLINE VecF expm1_reduced(VecF r) {
  constexpr float kQ[] = {0x1p-1f,        0x1.555554p-3f,  0x1.5554b0p-5f,
                          0x1.11118ap-7f, 0x1.6d7244p-10f, 0x1.a0330ep-13f};
  return fma(polynomial(r, kQ), r * r, r);
}

// c (e^x - 1) for -17.5 <= x <= 89: 2^n (e^r - 1) + (2^n - 1), with 2^(n-1) in its place so that n = 128 does
// not overflow.
LAMINA_INLINE VecF expm1_bounded(VecF x, VecF c = 1.0f) {
  VecF n;
  const VecF p = expm1_reduced(reduce_ln2(x, n));
  const VecF half = bit_cast<float>((to_int(n) + 126) << 23);
  const VecF r = fma(half * c, p, (half - 0.5f) * c);
  return r + r;
}

// c (e^x - 1), rounded once at the end. Below 2^-24 that is c x, which keeps the sign of -0 and numbers whose
// half would be flushed to 0.
LAMINA_INLINE VecF scaled_expm1(VecF x, VecF c) {
  return select(abs(x) < 0x1p-24f, c * x, expm1_bounded(clamp(x, -17.5f, 89.0f), c));
}
LAMINA_INLINE VecF expm1(VecF x) { return scaled_expm1(x, 1.0f); }

// x = 2^e (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), for positive normal x.
LAMINA_INLINE VecI split_exponent(VecF x, VecF& f) {
  const VecI bits = bit_cast<int32_t>(x);
  const VecI e = (bits - 0x3f3504f3) >> 23;
  f = bit_cast<float>(bits - (e << 23)) - 1.0f;
  return e;
}

// e ln 2 + log(1 + f) + correction, where log(1 + f) = f - f^2 / 2 + f^3 P(f), relative error 2^-27.
LAMINA_INLINE VecF log_sum(VecF e, VecF f, VecF correction) {
  constexpr float kP[] = {0x1.555554p-2f, -0x1.000226p-2f, 0x1.99a008p-3f, -0x1.547246p-3f,
                          0x1.22da18p-3f, -0x1.0d853ap-3f, 0x1.055b86p-3f, -0x1.38b5e2p-4f};
  const VecF f2 = f * f;
  VecF y = fma(polynomial(f, kP), f2 * f, correction);
  y = fma(e, kLn2Low, y);
  y = fnma(0.5f, f2, y);
  return fma(e, kLn2High, f + y);
}

// What r, computed as for a positive finite x, becomes for every x: log's values at the edges.
LAMINA_INLINE VecF log_edges(VecF x, VecF r) {
  r = select(x < kInfF, r, x);
  return select(x > 0.0f, r, select(x == 0.0f, VecF(-kInfF), VecF(kNaNF)));
}

LAMINA_INLINE VecF log(VecF x) {
  const Mask<float> subnormal = x < 0x1p-126f;
  VecF f;
  const VecI e = split_exponent(select(subnormal, x * 0x1p23f, x), f);
  const VecF n = to_float(e) - select(subnormal, VecF(23.0f), VecF(0.0f));
  return log_edges(x, log_sum(n, f, 0.0f));
}

// log(u + c) for u = 1 + x rounded and c what the rounding lost; for -1 < x < infinity.
LAMINA_INLINE VecF log1p_bounded(VecF x) {
  const VecF u = x + 1.0f;
  const VecF c = select(x < 1.0f, x - (u - 1.0f), 1.0f - (u - x));
  VecF f;
  const VecI e = split_exponent(u, f);
  // c / u = c 2^-e / (1 + f); c is below one unit of u, so two terms of the quotient's series are enough.
  const VecF scaled = c * bit_cast<float>((127 - min(e, 127)) << 23);
  return log_sum(to_float(e), f, scaled * fnma(f, 1.0f - f, 1.0f));
}

LAMINA_INLINE VecF log1p(VecF x) {
  return copysign(log_edges(x + 1.0f, log1p_bounded(x)), x);  // the sign of -0
}

// With e = (e^2a - 1) / 2 for a = |x|: e / (e + 1); from 9.1 on the result rounds to 1. 2a = n ln 2 + 2r,
// where one float is enough for ln 2 / 2 (its error, n 2^-30, fades as tanh' does), e^2r - 1 = 2r + r^2 Q(r),
// relative error 2^-31, and 2^(n-1) is made of bits as in exp.
LAMINA_INLINE Ratio<float> tanh_ratio(VecF x) {
  constexpr float kQ[] = {0x1p+1f,        0x1.555554p+0f, 0x1.5554b0p-1f,
                          0x1.11118ap-2f, 0x1.6d7244p-4f, 0x1.a0330ep-6f};
  constexpr float kShift = 0x1.8p23f + 126.0f;
  const VecF a = min_or_second(9.1f, abs(x));
  const VecF shifted = fma(a, 2 * kLog2e, kShift), n = shifted - kShift;
  const VecF r = fnma(n, 0.346573591f, a);
  const VecF half = bit_cast<float>(bit_cast<int32_t>(shifted) << 23);
  const VecF p = fma(polynomial(r, kQ), r * r, r + r);
  const VecF e = fma(half, p, half - 0.5f);
  return {copysign(e, x), e + 1.0f};
}
LAMINA_INLINE VecF tanh(VecF x) { return tanh_ratio(x).value(); }

// 1 / (1 + e^-x), for x < 0 as e^x / (1 + e^x), which stays accurate down to the subnormals.
LAMINA_INLINE Ratio<float> sigmoid_ratio(VecF x) {
  const VecF e = exp(-abs(x));
  return {select(x < 0.0f, e, VecF(1.0f)), e + 1.0f};
}
LAMINA_INLINE VecF sigmoid(VecF x) { return sigmoid_ratio(x).value(); }

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|); the maximum carries NaN.
LAMINA_INLINE VecF softplus(VecF x) { return max(x, 0.0f) + log1p_bounded(exp(-abs(x))); }

// a = |x| < 0.9: a (1 + P(a^2)), relative error 2^-26 (a + a P would lose the least numbers where a P is
// flushed to 0). Above: 1 - exp(-Q(a)) with Q = -log(erfc), relative error of the result 2^-29; from 3.95 on
// it rounds to 1.
LAMINA_INLINE VecF erf(VecF x) {
  constexpr float kP[] = {0x1.06eba6p-3f,  -0x1.8126fap-2f, 0x1.ce1dd2p-4f,
                          -0x1.b6bee2p-6f, 0x1.4876c8p-8f,  -0x1.3f4f6cp-11f};
  constexpr float kQ[] = {0x1.5d19f8p-13f, 0x1.20b750p+0f, 0x1.4621c0p-1f,  0x1.aa72f8p-4f,
                          -0x1.6d9c80p-6f, 0x1.91cc2ap-9f, -0x1.9fb146p-13f};
  const VecF a = min_or_second(3.95f, abs(x));
  const VecF near = a * (polynomial(a * a, kP) + 1.0f);
  const VecF far = VecF(1.0f) - exp(-polynomial(a, kQ));
  return copysign(select(a < 0.9f, near, far), x);
}

LAMINA_INLINE VecD exp(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_exp(v); });
}
LAMINA_INLINE VecD expm1(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_expm1(v); });
}
LAMINA_INLINE VecD scaled_expm1(VecD x, VecD c) { return c * expm1(x); }
LAMINA_INLINE VecD log(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_log(v); });
}
LAMINA_INLINE VecD log1p(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_log1p(v); });
}
LAMINA_INLINE VecD tanh(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_tanh(v); });
}
LAMINA_INLINE VecD erf(VecD x) {
  return map_lanes(x, [](double v) { return __builtin_erf(v); });
}
LAMINA_INLINE VecD sigmoid(VecD x) { return VecD(1.0) / (exp(-x) + 1.0); }
LAMINA_INLINE Ratio<double> tanh_ratio(VecD x) { return {tanh(x), VecD(1.0)}; }
LAMINA_INLINE Ratio<double> sigmoid_ratio(VecD x) {
  const VecD e = exp(-abs(x));
  return {select(x < 0.0, e, VecD(1.0)), e + 1.0};
}
LAMINA_INLINE VecD softplus(VecD x) { return max(x, 0.0) + log1p(exp(-abs(x))); }

}  // namespace
}  // namespace lamina
