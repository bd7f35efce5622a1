// fold: the one reduction loop of the kernels, over anything that yields vectors. Included by *.kernel.cc
// only.
#pragma once

#include "simd/vec.h"

namespace lamina {
namespace {

// kAnyOrder: the value does not depend on the order.
struct AddFold {
  static constexpr bool kAnyOrder = false;
  template <class V>
  static LAMINA_INLINE V apply(V a, V b) {
    return a + b;
  }
};
struct MultiplyFold {
  static constexpr bool kAnyOrder = false;
  template <class V>
  static LAMINA_INLINE V apply(V a, V b) {
    return a * b;
  }
};
struct MaxFold {
  static constexpr bool kAnyOrder = true;
  template <class V>
  static LAMINA_INLINE V apply(V a, V b) {
    return max(a, b);
  }
};
// The largest number there is: passes over NaN, one operation instead of three.
struct PeakFold {
  static constexpr bool kAnyOrder = true;
  template <class V>
  static LAMINA_INLINE V apply(V a, V b) {
    return max_or_second(b, a);
  }
};
struct MinFold {
  static constexpr bool kAnyOrder = true;
  template <class V>
  static LAMINA_INLINE V apply(V a, V b) {
    return min(a, b);
  }
};

// Lanes that combine to Op over at(i, k), i = 0, kLanes, ...: k elements from i, lanes past k neutral to Op.
// Blocks of 32 vectors (four chains of eight) meet pairwise, as the bits of a counter carry: the rounding
// error of a sum grows with log2(n), and the order follows from n alone.
template <class T, class Op, class At>
LAMINA_INLINE Vec<T> fold(int64_t n, At at) {
  using V = Vec<T>;
  constexpr int kLanes = V::kLanes, kChains = 4, kDeep = 8;
  constexpr int64_t kBlock = int64_t{kLanes} * kChains * kDeep;
  if (n <= kLanes) return at(0, static_cast<int>(n));
  T stack[48 * kLanes];
  int top = 0;
  int64_t i = 0;
  for (int64_t blocks = 0; i + kBlock <= n; ++blocks) {
    V a[kChains];
    for (int c = 0; c < kChains; ++c) a[c] = at(i + c * kLanes, kLanes);
    i += kChains * kLanes;
    for (int d = 1; d < kDeep; ++d, i += kChains * kLanes) {
      for (int c = 0; c < kChains; ++c) a[c] = Op::apply(a[c], at(i + c * kLanes, kLanes));
    }
    V v = Op::apply(Op::apply(a[0], a[1]), Op::apply(a[2], a[3]));
    for (int64_t carry = blocks; carry & 1; carry >>= 1) v = Op::apply(V::load(stack + --top * kLanes), v);
    v.store(stack + top++ * kLanes);
  }
  if constexpr (Op::kAnyOrder) {  // chains as long as they go: a maximum waits for the one before
    if (i + kChains * kLanes <= n) {
      V a[kChains];
      for (int c = 0; c < kChains; ++c) a[c] = at(i + c * kLanes, kLanes);
      for (i += kChains * kLanes; i + kChains * kLanes <= n; i += kChains * kLanes) {
        for (int c = 0; c < kChains; ++c) a[c] = Op::apply(a[c], at(i + c * kLanes, kLanes));
      }
      Op::apply(Op::apply(a[0], a[1]), Op::apply(a[2], a[3])).store(stack + top++ * kLanes);
    }
  }
  if (i < n) {
    V v = at(i, lanes_at<T>(n, i));
    for (i += kLanes; i < n; i += kLanes) v = Op::apply(v, at(i, lanes_at<T>(n, i)));
    v.store(stack + top++ * kLanes);
  }
  V v = V::load(stack + --top * kLanes);
  while (top > 0) v = Op::apply(V::load(stack + --top * kLanes), v);
  return v;
}

// The first k lanes of a, `neutral` after them.
template <class T>
LAMINA_INLINE Vec<T> keep_first(Vec<T> a, int k, Vec<T> neutral) {
  return k == Vec<T>::kLanes ? a : select(Mask<T>::first(k), a, neutral);
}

template <class T>
constexpr T kLowest = kIsFloat<T> ? T(-__builtin_inf()) : T(sizeof(T) == 4 ? INT32_MIN : INT64_MIN);
template <class T>
constexpr T kHighest = kIsFloat<T> ? T(__builtin_inf()) : T(sizeof(T) == 4 ? INT32_MAX : INT64_MAX);

}  // namespace
}  // namespace lamina
