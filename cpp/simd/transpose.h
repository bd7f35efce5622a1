// Rearranging elements over several registers.
#pragma once

#include <utility>

#include "simd/vec.h"

namespace lamina {
namespace {

constexpr int log2_of(int power_of_two) { return __builtin_ctz(power_of_two); }

// All of a, b lanes in turn: a0 b0 a1 b1 ...; the first or the second half of that.
template <class T, int... I>
LAMINA_INLINE void interleave(Vec<T> a, Vec<T> b, Vec<T>& low, Vec<T>& high,
                              std::integer_sequence<int, I...>) {
  constexpr int kLanes = Vec<T>::kLanes;
  low.v = __builtin_shufflevector(a.v, b.v, (I / 2 + I % 2 * kLanes)...);
  high.v = __builtin_shufflevector(a.v, b.v, (kLanes / 2 + I / 2 + I % 2 * kLanes)...);
}

// kRows vectors, a power of two, as one array: the bits of an element's index rotated to the left kRounds
// times. So [pixel][kRows] becomes [kRows][pixel] in log2(kLanes) rounds, and goes back in log2(kRows).
template <int kRows, int kRounds, class T>
LAMINA_INLINE void rotate(Vec<T>* r) {
#pragma GCC unroll 4
  for (int round = 0; round < kRounds; ++round) {
    Vec<T> next[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows / 2; ++i) {
      interleave(r[i], r[i + kRows / 2], next[2 * i], next[2 * i + 1],
                 std::make_integer_sequence<int, Vec<T>::kLanes>());
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) r[i] = next[i];
  }
}

// In place, kLanes x kLanes.
template <class T>
LAMINA_INLINE void transpose(Vec<T>* r) {
  rotate<Vec<T>::kLanes, log2_of(Vec<T>::kLanes)>(r);
}

}  // namespace
}  // namespace lamina
