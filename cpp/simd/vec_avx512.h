// Primitives of vec.h for AVX-512 F, BW, DQ, VL (x86-64-v4): 16 float or 8 double lanes, masks in mask
// registers.
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

template <class T>
struct MaskRegister;
template <>
struct MaskRegister<float> {
  using Raw = __mmask16;
};
template <>
struct MaskRegister<int32_t> {
  using Raw = __mmask16;
};
template <>
struct MaskRegister<double> {
  using Raw = __mmask8;
};
template <>
struct MaskRegister<int64_t> {
  using Raw = __mmask8;
};
template <class T>
using MaskRaw = typename MaskRegister<T>::Raw;

template <class T>
LAMINA_INLINE MaskRaw<T> raw_first(int n) {
  return static_cast<MaskRaw<T>>((1u << n) - 1);
}
template <class M>
LAMINA_INLINE bool raw_any(M m) {
  return m != 0;
}

LAMINA_INLINE RawF raw_broadcast(float x) { return _mm512_set1_ps(x); }
LAMINA_INLINE RawD raw_broadcast(double x) { return _mm512_set1_pd(x); }
LAMINA_INLINE RawI raw_broadcast(int32_t x) { return RawI(_mm512_set1_epi32(x)); }
LAMINA_INLINE RawL raw_broadcast(int64_t x) { return RawL(_mm512_set1_epi64(x)); }

// Masked moves never fault on lanes they skip.
LAMINA_INLINE RawF raw_load(const float* p, int n) { return _mm512_maskz_loadu_ps(raw_first<float>(n), p); }
LAMINA_INLINE RawD raw_load(const double* p, int n) { return _mm512_maskz_loadu_pd(raw_first<double>(n), p); }
LAMINA_INLINE RawI raw_load(const int32_t* p, int n) {
  return RawI(_mm512_maskz_loadu_epi32(raw_first<int32_t>(n), p));
}
LAMINA_INLINE RawL raw_load(const int64_t* p, int n) {
  return RawL(_mm512_maskz_loadu_epi64(raw_first<int64_t>(n), p));
}
LAMINA_INLINE void raw_store(float* p, RawF v, int n) { _mm512_mask_storeu_ps(p, raw_first<float>(n), v); }
LAMINA_INLINE void raw_store(double* p, RawD v, int n) { _mm512_mask_storeu_pd(p, raw_first<double>(n), v); }
LAMINA_INLINE void raw_store(int32_t* p, RawI v, int n) {
  _mm512_mask_storeu_epi32(p, raw_first<int32_t>(n), __m512i(v));
}
LAMINA_INLINE void raw_store(int64_t* p, RawL v, int n) {
  _mm512_mask_storeu_epi64(p, raw_first<int64_t>(n), __m512i(v));
}

LAMINA_INLINE RawF raw_gather(const float* p, RawI i) { return _mm512_i32gather_ps(__m512i(i), p, 4); }
LAMINA_INLINE RawD raw_gather(const double* p, RawI i) {
  return _mm512_i32gather_pd(_mm512_castsi512_si256(__m512i(i)), p, 8);
}
LAMINA_INLINE RawI raw_gather(const int32_t* p, RawI i) {
  return RawI(_mm512_i32gather_epi32(__m512i(i), p, 4));
}
LAMINA_INLINE RawL raw_gather(const int64_t* p, RawI i) {
  return RawL(_mm512_i32gather_epi64(_mm512_castsi512_si256(__m512i(i)), p, 8));
}
// 64-bit indices: a stride times 15 may pass 2^31. 32-bit types take two gathers of eight.
LAMINA_INLINE __m512i strided_index(int64_t stride) {
  return _mm512_mullo_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi64(stride));
}
LAMINA_INLINE RawL raw_load_strided(const int64_t* p, int64_t stride, int n) {
  const __m512i zero = _mm512_setzero_si512();
  return RawL(_mm512_mask_i64gather_epi64(zero, raw_first<int64_t>(n), strided_index(stride), p, 8));
}
LAMINA_INLINE RawI raw_load_strided(const int32_t* p, int64_t stride, int n) {
  const __m256i zero = _mm256_setzero_si256();
  const __m512i index = strided_index(stride);
  const unsigned m = raw_first<int32_t>(n);
  const __m256i low = _mm512_mask_i64gather_epi32(zero, static_cast<__mmask8>(m), index, p, 4);
  const __m256i high =
      _mm512_mask_i64gather_epi32(zero, static_cast<__mmask8>(m >> 8), index, p + 8 * stride, 4);
  return RawI(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}
LAMINA_INLINE RawF raw_load_strided(const float* p, int64_t stride, int n) {
  return RawF(raw_load_strided(reinterpret_cast<const int32_t*>(p), stride, n));
}
LAMINA_INLINE RawD raw_load_strided(const double* p, int64_t stride, int n) {
  return RawD(raw_load_strided(reinterpret_cast<const int64_t*>(p), stride, n));
}

LAMINA_INLINE __mmask16 raw_lt(RawF a, RawF b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
LAMINA_INLINE __mmask16 raw_le(RawF a, RawF b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
LAMINA_INLINE __mmask16 raw_eq(RawF a, RawF b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
LAMINA_INLINE __mmask8 raw_lt(RawD a, RawD b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
LAMINA_INLINE __mmask8 raw_le(RawD a, RawD b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
LAMINA_INLINE __mmask8 raw_eq(RawD a, RawD b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
LAMINA_INLINE __mmask16 raw_lt(RawI a, RawI b) { return _mm512_cmplt_epi32_mask(__m512i(a), __m512i(b)); }
LAMINA_INLINE __mmask16 raw_le(RawI a, RawI b) { return _mm512_cmple_epi32_mask(__m512i(a), __m512i(b)); }
LAMINA_INLINE __mmask16 raw_eq(RawI a, RawI b) { return _mm512_cmpeq_epi32_mask(__m512i(a), __m512i(b)); }
LAMINA_INLINE __mmask8 raw_lt(RawL a, RawL b) { return _mm512_cmplt_epi64_mask(__m512i(a), __m512i(b)); }
LAMINA_INLINE __mmask8 raw_le(RawL a, RawL b) { return _mm512_cmple_epi64_mask(__m512i(a), __m512i(b)); }
LAMINA_INLINE __mmask8 raw_eq(RawL a, RawL b) { return _mm512_cmpeq_epi64_mask(__m512i(a), __m512i(b)); }
LAMINA_INLINE RawF raw_select(__mmask16 m, RawF a, RawF b) { return _mm512_mask_blend_ps(m, b, a); }
LAMINA_INLINE RawD raw_select(__mmask8 m, RawD a, RawD b) { return _mm512_mask_blend_pd(m, b, a); }
LAMINA_INLINE RawI raw_select(__mmask16 m, RawI a, RawI b) {
  return RawI(_mm512_mask_blend_epi32(m, __m512i(b), __m512i(a)));
}
LAMINA_INLINE RawL raw_select(__mmask8 m, RawL a, RawL b) {
  return RawL(_mm512_mask_blend_epi64(m, __m512i(b), __m512i(a)));
}

// Swaps neighbouring blocks of kBytes.
template <int kBytes>
LAMINA_INLINE RawI raw_swap(RawI a) {
  const __m512i v = __m512i(a);
  if constexpr (kBytes == 32) return RawI(_mm512_shuffle_i64x2(v, v, 0x4e));
  if constexpr (kBytes == 16) return RawI(_mm512_shuffle_i64x2(v, v, 0xb1));
  if constexpr (kBytes == 8) return RawI(_mm512_shuffle_epi32(v, _MM_PERM_BADC));
  return RawI(_mm512_shuffle_epi32(v, _MM_PERM_CDAB));
}

LAMINA_INLINE RawF raw_fma(RawF a, RawF b, RawF c) { return _mm512_fmadd_ps(a, b, c); }
LAMINA_INLINE RawD raw_fma(RawD a, RawD b, RawD c) { return _mm512_fmadd_pd(a, b, c); }
LAMINA_INLINE RawF raw_fnma(RawF a, RawF b, RawF c) { return _mm512_fnmadd_ps(a, b, c); }
LAMINA_INLINE RawD raw_fnma(RawD a, RawD b, RawD c) { return _mm512_fnmadd_pd(a, b, c); }
LAMINA_INLINE RawF raw_min(RawF a, RawF b) { return _mm512_min_ps(a, b); }
LAMINA_INLINE RawF raw_max(RawF a, RawF b) { return _mm512_max_ps(a, b); }
LAMINA_INLINE RawD raw_min(RawD a, RawD b) { return _mm512_min_pd(a, b); }
LAMINA_INLINE RawD raw_max(RawD a, RawD b) { return _mm512_max_pd(a, b); }
LAMINA_INLINE RawI raw_min(RawI a, RawI b) { return RawI(_mm512_min_epi32(__m512i(a), __m512i(b))); }
LAMINA_INLINE RawI raw_max(RawI a, RawI b) { return RawI(_mm512_max_epi32(__m512i(a), __m512i(b))); }
LAMINA_INLINE RawL raw_min(RawL a, RawL b) { return RawL(_mm512_min_epi64(__m512i(a), __m512i(b))); }
LAMINA_INLINE RawL raw_max(RawL a, RawL b) { return RawL(_mm512_max_epi64(__m512i(a), __m512i(b))); }
LAMINA_INLINE RawF raw_sqrt(RawF a) { return _mm512_sqrt_ps(a); }
LAMINA_INLINE RawD raw_sqrt(RawD a) { return _mm512_sqrt_pd(a); }
LAMINA_INLINE RawF raw_round_even(RawF a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT); }
LAMINA_INLINE RawD raw_round_even(RawD a) { return _mm512_roundscale_pd(a, _MM_FROUND_TO_NEAREST_INT); }
LAMINA_INLINE RawF raw_floor(RawF a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF); }
LAMINA_INLINE RawD raw_floor(RawD a) { return _mm512_roundscale_pd(a, _MM_FROUND_TO_NEG_INF); }
LAMINA_INLINE RawF raw_scale(RawF a, RawF n) { return _mm512_scalef_ps(a, n); }
LAMINA_INLINE RawD raw_scale(RawD a, RawD n) { return _mm512_scalef_pd(a, n); }

LAMINA_INLINE RawL raw_multiply_even(RawI a, RawI b) {
  return RawL(_mm512_mul_epu32(__m512i(a), __m512i(b)));
}
LAMINA_INLINE RawI raw_to_int(RawF a) { return RawI(_mm512_cvtps_epi32(a)); }
LAMINA_INLINE RawL raw_to_int(RawD a) { return RawL(_mm512_cvtpd_epi64(a)); }
LAMINA_INLINE RawF raw_to_float(RawI a) { return _mm512_cvtepi32_ps(__m512i(a)); }
LAMINA_INLINE RawD raw_to_float(RawL a) { return _mm512_cvtepi64_pd(__m512i(a)); }

LAMINA_INLINE __m256i load_halves(const uint16_t* p, int n) {
  return _mm256_maskz_loadu_epi16(raw_first<float>(n), p);
}
LAMINA_INLINE void store_halves(uint16_t* p, __m256i v, int n) {
  _mm256_mask_storeu_epi16(p, raw_first<float>(n), v);
}
LAMINA_INLINE RawI raw_load_u16(const uint16_t* p, int n) {
  return RawI(_mm512_cvtepu16_epi32(load_halves(p, n)));
}
LAMINA_INLINE void raw_store_u16(uint16_t* p, RawI v, int n) {
  store_halves(p, _mm512_cvtepi32_epi16(__m512i(v)), n);
}
LAMINA_INLINE RawF raw_load_f16(const uint16_t* p, int n) { return _mm512_cvtph_ps(load_halves(p, n)); }
LAMINA_INLINE void raw_store_f16(uint16_t* p, RawF v, int n) {
  store_halves(p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT), n);
}

}  // namespace
}  // namespace lamina
