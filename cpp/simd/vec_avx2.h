// Primitives of vec.h for AVX2 + FMA + F16C (x86-64-v3): 8 float or 4 double lanes.
#pragma once

// GCC 12 warns about the deliberately undefined registers inside its own header (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

namespace lamina {
namespace {

LAMINA_INLINE RawF raw_broadcast(float x) { return _mm256_set1_ps(x); }
LAMINA_INLINE RawD raw_broadcast(double x) { return _mm256_set1_pd(x); }
LAMINA_INLINE RawI raw_broadcast(int32_t x) { return RawI(_mm256_set1_epi32(x)); }
LAMINA_INLINE RawL raw_broadcast(int64_t x) { return RawL(_mm256_set1_epi64x(x)); }

}  // namespace
}  // namespace lamina

#include "vec_lanes.h"

namespace lamina {
namespace {

LAMINA_INLINE bool raw_any(RawI m) { return !_mm256_testz_si256(__m256i(m), __m256i(m)); }
LAMINA_INLINE bool raw_any(RawL m) { return !_mm256_testz_si256(__m256i(m), __m256i(m)); }

// Masked moves never fault on lanes they skip.
LAMINA_INLINE __m256i first32(int n) { return __m256i(raw_first<int32_t>(n)); }
LAMINA_INLINE __m256i first64(int n) { return __m256i(raw_first<int64_t>(n)); }
LAMINA_INLINE RawF raw_load(const float* p, int n) { return _mm256_maskload_ps(p, first32(n)); }
LAMINA_INLINE RawD raw_load(const double* p, int n) { return _mm256_maskload_pd(p, first64(n)); }
LAMINA_INLINE RawI raw_load(const int32_t* p, int n) { return RawI(_mm256_maskload_epi32(p, first32(n))); }
LAMINA_INLINE RawL raw_load(const int64_t* p, int n) {
  return RawL(_mm256_maskload_epi64(reinterpret_cast<const long long*>(p), first64(n)));
}
LAMINA_INLINE void raw_store(float* p, RawF v, int n) { _mm256_maskstore_ps(p, first32(n), v); }
LAMINA_INLINE void raw_store(double* p, RawD v, int n) { _mm256_maskstore_pd(p, first64(n), v); }
LAMINA_INLINE void raw_store(int32_t* p, RawI v, int n) { _mm256_maskstore_epi32(p, first32(n), __m256i(v)); }
LAMINA_INLINE void raw_store(int64_t* p, RawL v, int n) {
  _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), first64(n), __m256i(v));
}

LAMINA_INLINE RawF raw_gather(const float* p, RawI i) { return _mm256_i32gather_ps(p, __m256i(i), 4); }
LAMINA_INLINE RawD raw_gather(const double* p, RawI i) {
  return _mm256_i32gather_pd(p, _mm256_castsi256_si128(__m256i(i)), 8);
}
LAMINA_INLINE RawI raw_gather(const int32_t* p, RawI i) {
  return RawI(_mm256_i32gather_epi32(p, __m256i(i), 4));
}
LAMINA_INLINE RawL raw_gather(const int64_t* p, RawI i) {
  const __m128i index = _mm256_castsi256_si128(__m256i(i));
  return RawL(_mm256_i32gather_epi64(reinterpret_cast<const long long*>(p), index, 8));
}
// Scalar loads and inserts: as fast as a gather here, and without its 32-bit indices.
template <class T, class R = typename VecTraits<T>::Raw>
LAMINA_INLINE R raw_load_strided(const T* p, int64_t stride, int n) {
  if constexpr (sizeof(T) == 8) {
    if (n == 4) return R{p[0], p[stride], p[2 * stride], p[3 * stride]};
  } else {
    if (n == 8) {
      const T* q = p + 4 * stride;
      return R{p[0], p[stride], p[2 * stride], p[3 * stride], q[0], q[stride], q[2 * stride], q[3 * stride]};
    }
  }
  T lanes[kVecBytes / sizeof(T)] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i * stride];
  R r;
  __builtin_memcpy(&r, lanes, sizeof r);
  return r;
}

// Swaps neighbouring blocks of kBytes.
template <int kBytes>
LAMINA_INLINE RawI raw_swap(RawI a) {
  const __m256i v = __m256i(a);
  if constexpr (kBytes == 16) return RawI(_mm256_permute4x64_epi64(v, 0x4e));
  if constexpr (kBytes == 8) return RawI(_mm256_shuffle_epi32(v, 0x4e));
  return RawI(_mm256_shuffle_epi32(v, 0xb1));
}

LAMINA_INLINE RawF raw_fma(RawF a, RawF b, RawF c) { return _mm256_fmadd_ps(a, b, c); }
LAMINA_INLINE RawD raw_fma(RawD a, RawD b, RawD c) { return _mm256_fmadd_pd(a, b, c); }
LAMINA_INLINE RawF raw_fnma(RawF a, RawF b, RawF c) { return _mm256_fnmadd_ps(a, b, c); }
LAMINA_INLINE RawD raw_fnma(RawD a, RawD b, RawD c) { return _mm256_fnmadd_pd(a, b, c); }
LAMINA_INLINE RawF raw_min(RawF a, RawF b) { return _mm256_min_ps(a, b); }
LAMINA_INLINE RawF raw_max(RawF a, RawF b) { return _mm256_max_ps(a, b); }
LAMINA_INLINE RawD raw_min(RawD a, RawD b) { return _mm256_min_pd(a, b); }
LAMINA_INLINE RawD raw_max(RawD a, RawD b) { return _mm256_max_pd(a, b); }
LAMINA_INLINE RawI raw_min(RawI a, RawI b) { return RawI(_mm256_min_epi32(__m256i(a), __m256i(b))); }
LAMINA_INLINE RawI raw_max(RawI a, RawI b) { return RawI(_mm256_max_epi32(__m256i(a), __m256i(b))); }
LAMINA_INLINE RawL raw_min(RawL a, RawL b) { return a < b ? a : b; }
LAMINA_INLINE RawL raw_max(RawL a, RawL b) { return a > b ? a : b; }
LAMINA_INLINE RawF raw_sqrt(RawF a) { return _mm256_sqrt_ps(a); }
LAMINA_INLINE RawD raw_sqrt(RawD a) { return _mm256_sqrt_pd(a); }
LAMINA_INLINE RawF raw_round_even(RawF a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
LAMINA_INLINE RawD raw_round_even(RawD a) {
  return _mm256_round_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
LAMINA_INLINE RawF raw_floor(RawF a) { return _mm256_floor_ps(a); }
LAMINA_INLINE RawD raw_floor(RawD a) { return _mm256_floor_pd(a); }

LAMINA_INLINE RawL raw_multiply_even(RawI a, RawI b) {
  return RawL(_mm256_mul_epu32(__m256i(a), __m256i(b)));
}
LAMINA_INLINE RawI raw_to_int(RawF a) { return RawI(_mm256_cvtps_epi32(a)); }
LAMINA_INLINE RawF raw_to_float(RawI a) { return _mm256_cvtepi32_ps(__m256i(a)); }
// AVX2 has no 64-bit conversions. For |x| < 2^51 the sum x + 1.5 * 2^52 holds x, rounded to nearest even, in
// the low bits of its significand.
LAMINA_INLINE RawL raw_to_int(RawD a) {
  const RawD magic = raw_broadcast(0x1.8p52);
  return RawL(a + magic) - RawL(magic);
}
LAMINA_INLINE RawD raw_to_float(RawL a) {
  const RawD magic = raw_broadcast(0x1.8p52);
  return RawD(a + RawL(magic)) - magic;
}

// There is no masked move of 16-bit lanes: a partial block passes through the stack.
LAMINA_INLINE __m128i load_halves(const uint16_t* p, int n) {
  if (n == 8) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  alignas(16) uint16_t lanes[8] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return _mm_load_si128(reinterpret_cast<const __m128i*>(lanes));
}
LAMINA_INLINE void store_halves(uint16_t* p, __m128i v, int n) {
  if (n == 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v);
    return;
  }
  alignas(16) uint16_t lanes[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(lanes), v);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
LAMINA_INLINE RawI raw_load_u16(const uint16_t* p, int n) {
  return RawI(_mm256_cvtepu16_epi32(load_halves(p, n)));
}
// Lanes hold 0..65535, so the saturating pack is exact; it packs per 128 bits, hence the permutation.
LAMINA_INLINE void raw_store_u16(uint16_t* p, RawI v, int n) {
  const __m256i packed = _mm256_packus_epi32(__m256i(v), __m256i(v));
  store_halves(p, _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)), n);
}
LAMINA_INLINE RawF raw_load_f16(const uint16_t* p, int n) { return _mm256_cvtph_ps(load_halves(p, n)); }
LAMINA_INLINE void raw_store_f16(uint16_t* p, RawF v, int n) {
  store_halves(p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT), n);
}

}  // namespace
}  // namespace lamina

#include "vec_scale.h"
