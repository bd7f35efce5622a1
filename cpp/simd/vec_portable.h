// Primitives of vec.h for 16-byte vectors on any architecture; the baseline row (x86-64-v2). Where SSE4.1 has
// an instruction that the compiler does not find by itself, it is named.
#pragma once

#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

#include "vec_128.h"

namespace lamina {
namespace {

template <class R>
LAMINA_INLINE R raw_fma(R a, R b, R c) {
  return a * b + c;
}
template <class R>
LAMINA_INLINE R raw_fnma(R a, R b, R c) {
  return c - a * b;
}

#if defined(__SSE4_1__)
LAMINA_INLINE RawF raw_min(RawF a, RawF b) { return _mm_min_ps(a, b); }
LAMINA_INLINE RawF raw_max(RawF a, RawF b) { return _mm_max_ps(a, b); }
LAMINA_INLINE RawD raw_min(RawD a, RawD b) { return _mm_min_pd(a, b); }
LAMINA_INLINE RawD raw_max(RawD a, RawD b) { return _mm_max_pd(a, b); }
LAMINA_INLINE RawF raw_sqrt(RawF a) { return _mm_sqrt_ps(a); }
LAMINA_INLINE RawD raw_sqrt(RawD a) { return _mm_sqrt_pd(a); }
LAMINA_INLINE RawF raw_round_even(RawF a) {
  return _mm_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
LAMINA_INLINE RawD raw_round_even(RawD a) {
  return _mm_round_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
LAMINA_INLINE RawF raw_floor(RawF a) { return _mm_floor_ps(a); }
LAMINA_INLINE RawD raw_floor(RawD a) { return _mm_floor_pd(a); }
LAMINA_INLINE RawI raw_to_int(RawF a) { return RawI(_mm_cvtps_epi32(a)); }
LAMINA_INLINE RawL raw_multiply_even(RawI a, RawI b) { return RawL(_mm_mul_epu32(__m128i(a), __m128i(b))); }
#else
template <class R>
LAMINA_INLINE R raw_min(R a, R b) {
  return a < b ? a : b;
}
template <class R>
LAMINA_INLINE R raw_max(R a, R b) {
  return a > b ? a : b;
}
LAMINA_INLINE RawF raw_sqrt(RawF a) {
  for (int i = 0; i < 4; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
LAMINA_INLINE RawD raw_sqrt(RawD a) {
  for (int i = 0; i < 2; ++i) a[i] = __builtin_sqrt(a[i]);
  return a;
}
// Adding 2^23 (2^52) of a's sign pushes the fraction out of the significand, rounding it to nearest even.
// Larger values, infinities and NaN are already integral and pass through; the sign is put back for results
// of zero.
template <class R, class I>
LAMINA_INLINE R round_by_adding(R a, I sign, R big) {
  const I s = I(a) & sign;
  const R magnitude = R(I(a) & ~sign);
  const R rounded = R(I((magnitude + big) - big) | s);
  return magnitude < big ? rounded : a;
}
LAMINA_INLINE RawF raw_round_even(RawF a) {
  return round_by_adding(a, RawI(raw_broadcast(-0.0f)), raw_broadcast(0x1p23f));
}
LAMINA_INLINE RawD raw_round_even(RawD a) {
  return round_by_adding(a, RawL(raw_broadcast(-0.0)), raw_broadcast(0x1p52));
}
template <class R>
LAMINA_INLINE R raw_floor(R a) {
  const R r = raw_round_even(a);
  return r > a ? r - 1 : r;
}
LAMINA_INLINE RawI raw_to_int(RawF a) { return __builtin_convertvector(raw_round_even(a), RawI); }
LAMINA_INLINE RawL raw_multiply_even(RawI a, RawI b) {
  const RawU64 low = RawU64(raw_broadcast(int64_t{0xffffffff}));
  return RawL((RawU64(a) & low) * (RawU64(b) & low));
}
#endif

LAMINA_INLINE RawL raw_to_int(RawD a) { return __builtin_convertvector(raw_round_even(a), RawL); }

LAMINA_INLINE RawI raw_load_u16(const uint16_t* p, int n) {
  RawI r{};
  for (int i = 0; i < 4; ++i) {
    if (i < n) r[i] = p[i];
  }
  return r;
}
LAMINA_INLINE void raw_store_u16(uint16_t* p, RawI v, int n) {
  for (int i = 0; i < 4; ++i) {
    if (i < n) p[i] = static_cast<uint16_t>(v[i]);
  }
}

}  // namespace
}  // namespace lamina

#include "vec_scale.h"

namespace lamina {
namespace {

// Half to float: fraction and exponent move up 13 bits and the exponent is rebiased by 112; subnormal halves
// are their fraction times 2^-24 (by integers up to there, so that flushing denormals changes nothing);
// infinity and NaN get the float's full exponent.
LAMINA_INLINE RawF raw_load_f16(const uint16_t* p, int n) {
  const RawI h = raw_load_u16(p, n);
  const RawI magnitude = (h & 0x7fff) << 13;
  const RawI subnormal = RawI(raw_to_float(h & 0x3ff) * 0x1p-24f);
  RawI r = magnitude < (0x0400 << 13) ? subnormal : magnitude + (112 << 23);
  r = magnitude >= (0x7c00 << 13) ? (magnitude | 0x7f800000) : r;
  return RawF(r | ((h & 0x8000) << 16));
}

// Float to half. Normal results: rebias the exponent and round the 13 dropped bits to nearest even by
// integers; subnormal results (below 2^-14): adding 0.5 aligns the last half bit with the last float bit.
LAMINA_INLINE void raw_store_f16(uint16_t* p, RawF v, int n) {
  const RawI bits = RawI(v);
  const RawI magnitude = bits & 0x7fffffff;
  const RawI normal = (magnitude - (112 << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  const RawI subnormal = RawI(RawF(magnitude) + 0.5f) - 0x3f000000;
  RawI r = magnitude < (113 << 23) ? subnormal : normal;
  r = magnitude >= (143 << 23) ? (r & 0) + 0x7c00 : r;
  r = magnitude > 0x7f800000 ? ((magnitude >> 13) & 0x3ff) | 0x7e00 : r;
  raw_store_u16(p, r | ((bits >> 16) & 0x8000), n);
}

}  // namespace
}  // namespace lamina
