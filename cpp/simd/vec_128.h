// What rows of 16-byte vectors share (portable, neon): memory lane by lane, integers, shuffles, conversions.
#pragma once

namespace lamina {
namespace {

LAMINA_INLINE RawF raw_broadcast(float x) { return RawF{x, x, x, x}; }
LAMINA_INLINE RawD raw_broadcast(double x) { return RawD{x, x}; }
LAMINA_INLINE RawI raw_broadcast(int32_t x) { return RawI{x, x, x, x}; }
LAMINA_INLINE RawL raw_broadcast(int64_t x) { return RawL{x, x}; }

}  // namespace
}  // namespace lamina

#include "vec_lanes.h"

namespace lamina {
namespace {

LAMINA_INLINE bool raw_any(RawI m) {
  const RawL pair = RawL(m);
  return (pair[0] | pair[1]) != 0;
}
LAMINA_INLINE bool raw_any(RawL m) { return (m[0] | m[1]) != 0; }

// Lane by lane, each behind its own test: no read or write past n.
template <class T, class R = typename VecTraits<T>::Raw>
LAMINA_INLINE R raw_load(const T* p, int n) {
  R r{};
  for (int i = 0; i < kVecBytes / static_cast<int>(sizeof(T)); ++i) {
    if (i < n) r[i] = p[i];
  }
  return r;
}
template <class T, class R>
LAMINA_INLINE void raw_store(T* p, R v, int n) {
  for (int i = 0; i < kVecBytes / static_cast<int>(sizeof(T)); ++i) {
    if (i < n) p[i] = v[i];
  }
}
template <class T, class R = typename VecTraits<T>::Raw>
LAMINA_INLINE R raw_load_strided(const T* p, int64_t stride, int n) {
  R r{};
  for (int i = 0; i < kVecBytes / static_cast<int>(sizeof(T)); ++i) {
    if (i < n) r[i] = p[i * stride];
  }
  return r;
}
template <class T, class R = typename VecTraits<T>::Raw>
LAMINA_INLINE R raw_gather(const T* base, RawI index) {
  R r{};
  for (int i = 0; i < kVecBytes / static_cast<int>(sizeof(T)); ++i) r[i] = base[index[i]];
  return r;
}

// Swaps neighbouring blocks of kBytes.
template <int kBytes>
LAMINA_INLINE RawI raw_swap(RawI a) {
  if constexpr (kBytes == 8) return __builtin_shufflevector(a, a, 2, 3, 0, 1);
  return __builtin_shufflevector(a, a, 1, 0, 3, 2);
}

LAMINA_INLINE RawI raw_min(RawI a, RawI b) { return a < b ? a : b; }
LAMINA_INLINE RawI raw_max(RawI a, RawI b) { return a > b ? a : b; }
LAMINA_INLINE RawL raw_min(RawL a, RawL b) { return a < b ? a : b; }
LAMINA_INLINE RawL raw_max(RawL a, RawL b) { return a > b ? a : b; }

LAMINA_INLINE RawF raw_to_float(RawI a) { return __builtin_convertvector(a, RawF); }
LAMINA_INLINE RawD raw_to_float(RawL a) { return __builtin_convertvector(a, RawD); }

}  // namespace
}  // namespace lamina
