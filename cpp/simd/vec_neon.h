// Primitives of vec.h for NEON, which every AArch64 has: 4 float or 2 double lanes, fused multiply-add.
#pragma once

#include <arm_neon.h>

#include "vec_128.h"

namespace lamina {
namespace {

LAMINA_INLINE RawF raw_fma(RawF a, RawF b, RawF c) { return vfmaq_f32(c, a, b); }
LAMINA_INLINE RawD raw_fma(RawD a, RawD b, RawD c) { return vfmaq_f64(c, a, b); }
LAMINA_INLINE RawF raw_fnma(RawF a, RawF b, RawF c) { return vfmsq_f32(c, a, b); }
LAMINA_INLINE RawD raw_fnma(RawD a, RawD b, RawD c) { return vfmsq_f64(c, a, b); }
// Compare and select: FMIN and FMAX give NaN where this interface gives b.
template <class R>
LAMINA_INLINE R raw_min(R a, R b) {
  return a < b ? a : b;
}
template <class R>
LAMINA_INLINE R raw_max(R a, R b) {
  return a > b ? a : b;
}
LAMINA_INLINE RawF raw_sqrt(RawF a) { return vsqrtq_f32(a); }
LAMINA_INLINE RawD raw_sqrt(RawD a) { return vsqrtq_f64(a); }
LAMINA_INLINE RawF raw_round_even(RawF a) { return vrndnq_f32(a); }
LAMINA_INLINE RawD raw_round_even(RawD a) { return vrndnq_f64(a); }
LAMINA_INLINE RawF raw_floor(RawF a) { return vrndmq_f32(a); }
LAMINA_INLINE RawD raw_floor(RawD a) { return vrndmq_f64(a); }

LAMINA_INLINE RawI raw_to_int(RawF a) { return RawI(vcvtnq_s32_f32(a)); }
LAMINA_INLINE RawL raw_to_int(RawD a) { return RawL(vcvtnq_s64_f64(a)); }
LAMINA_INLINE RawL raw_multiply_even(RawI a, RawI b) {
  return RawL(vmull_u32(vmovn_u64(uint64x2_t(a)), vmovn_u64(uint64x2_t(b))));
}

LAMINA_INLINE uint16x4_t load_halves(const uint16_t* p, int n) {
  if (n == 4) return vld1_u16(p);
  uint16x4_t r{};
  for (int i = 0; i < 3; ++i) {
    if (i < n) r[i] = p[i];
  }
  return r;
}
LAMINA_INLINE void store_halves(uint16_t* p, uint16x4_t v, int n) {
  if (n == 4) return vst1_u16(p, v);
  for (int i = 0; i < 3; ++i) {
    if (i < n) p[i] = v[i];
  }
}
LAMINA_INLINE RawI raw_load_u16(const uint16_t* p, int n) { return RawI(vmovl_u16(load_halves(p, n))); }
LAMINA_INLINE void raw_store_u16(uint16_t* p, RawI v, int n) { store_halves(p, vmovn_u32(uint32x4_t(v)), n); }
// Subnormal halves survive FPCR.FZ: it flushes float and double only.
LAMINA_INLINE RawF raw_load_f16(const uint16_t* p, int n) {
  return vcvt_f32_f16(vreinterpret_f16_u16(load_halves(p, n)));
}
LAMINA_INLINE void raw_store_f16(uint16_t* p, RawF v, int n) {
  store_halves(p, vreinterpret_u16_f16(vcvt_f16_f32(v)), n);
}

}  // namespace
}  // namespace lamina

#include "vec_scale.h"
