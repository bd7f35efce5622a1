// Transposing kLanes x kLanes elements in registers.
#pragma once

#include <utility>

#include "simd/vec.h"

namespace lamina {
namespace {

// All of a, b lanes in turn: a0 b0 a1 b1 ...; the first or the second half of that.
template <class T, int... I>
LAMINA_INLINE void interleave(Vec<T> a, Vec<T> b, Vec<T>& low, Vec<T>& high,
                              std::integer_sequence<int, I...>) {
  constexpr int kLanes = Vec<T>::kLanes;
  low.v = __builtin_shufflevector(a.v, b.v, (I / 2 + I % 2 * kLanes)...);
  high.v = __builtin_shufflevector(a.v, b.v, (kLanes / 2 + I / 2 + I % 2 * kLanes)...);
}

// In place, kLanes x kLanes: each of the log2 rounds moves the top bit of the row number into the bottom of
// the lane number.
template <class T>
LAMINA_INLINE void transpose(Vec<T>* r) {
  constexpr int kLanes = Vec<T>::kLanes;
#pragma GCC unroll 4
  for (int round = 1; round < kLanes; round *= 2) {
    Vec<T> next[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; ++i) {
      interleave(r[i], r[i + kLanes / 2], next[2 * i], next[2 * i + 1],
                 std::make_integer_sequence<int, kLanes>());
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) r[i] = next[i];
  }
}

}  // namespace
}  // namespace lamina
