// Primitives for rows whose masks are vectors of all-one and all-zero lanes (portable, avx2).
#pragma once

namespace lamina {
namespace {

template <class T>
using MaskRaw = typename VecTraits<typename VecTraits<T>::Int>::Raw;

template <class R>
LAMINA_INLINE auto raw_lt(R a, R b) {
  return a < b;
}
template <class R>
LAMINA_INLINE auto raw_le(R a, R b) {
  return a <= b;
}
template <class R>
LAMINA_INLINE auto raw_eq(R a, R b) {
  return a == b;
}
template <class M, class R>
LAMINA_INLINE R raw_select(M m, R a, R b) {
  return m ? a : b;
}

// Lane i holds i < n.
template <class T>
LAMINA_INLINE MaskRaw<T> raw_first(int n) {
  using I = typename VecTraits<T>::Int;
  constexpr I kIota[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  MaskRaw<T> lane;
  __builtin_memcpy(&lane, kIota, sizeof lane);
  return lane < raw_broadcast(static_cast<I>(n));
}

}  // namespace
}  // namespace lamina
