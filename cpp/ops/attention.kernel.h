// What the kernels of attention share: a row of scores before its exponentials. Letters as in attention.h.
#pragma once

#include "ops/attention.h"
#include "ops/dropout.kernel.h"
#include "ops/fold.h"
#include "simd/vec.h"

namespace lamina {
namespace {

// Row i of the block as its scores: scale s + bias where the key is seen, at least kUnseen. NaN stays.
template <class T>
LAMINA_INLINE void prepare(const AttentionBlock& b, int64_t i, T* s) {
  using V = Vec<T>;
  const T unseen = static_cast<T>(kUnseen);
  const T* bias = static_cast<const T*>(b.bias);
  const V scale(static_cast<T>(b.scale));
  if (bias) bias += i * b.bias_row;
  along<T>(
      b.keys, [&](int64_t j, int k) __attribute__((always_inline)) {
        V x = V::load(s + j, k);
        x = bias ? fma(x, scale, b.bias_key ? V::load(bias + j, k) : V(*bias)) : x * scale;
        max_or_second(V(unseen), x).store(s + j, k);
      });
  for (int m = 0; m < 2; ++m) {
    if (!b.mask[m]) continue;
    const bool* mask = b.mask[m] + i * b.mask_row[m];
    if (b.mask_key[m]) {
      for (int64_t j = 0; j < b.keys; ++j) s[j] = mask[j] ? s[j] : unseen;
    } else if (!*mask) {
      for (int64_t j = 0; j < b.keys; ++j) s[j] = unseen;
    }
  }
  const int64_t low = simd_min(b.keys, b.low + i * b.low_slope), high = b.high + i * b.high_slope;
  for (int64_t j = 0; j < low; ++j) s[j] = unseen;
  for (int64_t j = simd_max<int64_t>(0, high); j < b.keys; ++j) s[j] = unseen;
}

// keep[j] = 1 / (1 - rate) where the place is kept, else 0, for row i of the block.
template <class T>
LAMINA_INLINE void draw_row(const AttentionBlock& b, int64_t i, T* keep) {
  const T scale = static_cast<T>(b.keep_scale);
  for (int64_t j = 0; j < b.keys; j += kDropoutBlock) {
    uint32_t bits[kDropoutBlock];
    draws(b.state, static_cast<uint64_t>(b.draw + i * b.draw_row + j) / 4, bits);
    for (int64_t e = 0; e < kDropoutBlock; ++e) keep[j + e] = bits[e] <= b.last ? scale : T(0);
  }
}

}  // namespace
}  // namespace lamina
