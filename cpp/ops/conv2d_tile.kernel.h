// How the sums of a register tile of convolution become results, see conv2d_direct.h.
#pragma once

#include "ops/activation.kernel.h"
#include "ops/conv2d_direct.h"
#include "simd/stream.h"

namespace lamina {
namespace {

// y[out(i) + filter] = activation(acc[i] + bias) for i < count; kSure <= count <= MR.
template <class T, int NV, int MR, int kSure, class Out>
LAMINA_INLINE void put_tile(const ConvResult& s, const Vec<T> (&acc)[MR][NV], int count, Out out) {
  constexpr int kLanes = Vec<T>::kLanes;
  const T* bias = static_cast<const T*>(s.bias);
  T* y = static_cast<T*>(s.y);
  const int last = s.n - (NV - 1) * kLanes;  // lanes of the last vector
  Vec<T> add[NV];
  for (int v = 0; v < NV; ++v) {
    if (bias != nullptr) add[v] = Vec<T>::load(bias + v * kLanes, v + 1 < NV ? kLanes : last);
  }
  const auto put = [&](auto f, auto store) __attribute__((always_inline)) {
#pragma GCC unroll 28
    for (int i = 0; i < MR; ++i) {
      if (i >= kSure && i >= count) break;
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) store(y + out(i) + v * kLanes, activate<f.value>(acc[i][v] + add[v]), v);
    }
  };
  constexpr ActivationTag<Activation::none> kNone{};
  constexpr ActivationTag<Activation::relu> kRelu{};
  if constexpr (sizeof(T) == 4) {
    if (s.past_caches) {
      const auto past = [](T * to, Vec<T> x, int) __attribute__((always_inline)) { stream(to, x); };
      return s.activation == Activation::relu ? put(kRelu, past) : put(kNone, past);
    }
  }
  const auto store = [&](T * to, Vec<T> x, int v) __attribute__((always_inline)) {
    x.store(to, v + 1 < NV ? kLanes : last);
  };
  if (s.activation == Activation::relu) return put(kRelu, store);
  if (last == kLanes) {
    put(
        kNone, [](T * to, Vec<T> x, int) __attribute__((always_inline)) { x.store(to); });
  } else {
    put(kNone, store);
  }
  if (s.activation == Activation::none) return;
  with_activation(s.activation, [&](auto f) {  // longer functions in a loop, not unrolled over the tile
    for (int i = 0; i < count; ++i) {
      for (int v = 0; v < NV; ++v) {
        const int lanes = v + 1 < NV ? kLanes : last;
        T* at = y + out(i) + v * kLanes;
        activate<f.value>(Vec<T>::load(at, lanes)).store(at, lanes);
      }
    }
  });
}

}  // namespace
}  // namespace lamina
