// The vector functions of activation.h, for *.kernel.cc files: y = f(x) and dx = dy * f'(x) from y.
#pragma once

#include "ops/activation.h"
#include "simd/math.h"
#include "simd/vec.h"

namespace lamina {
namespace {

template <Activation f, class T>
LAMINA_INLINE Vec<T> activate(Vec<T> x) {
  if constexpr (f == Activation::relu)
    return select(x <= Vec<T>(T(0)), Vec<T>(T(0)), x);  // NaN passes through
  if constexpr (f == Activation::sigmoid) return sigmoid(x);
  if constexpr (f == Activation::tanh) return tanh(x);
  return x;
}

template <Activation f, class T>
LAMINA_INLINE Vec<T> activate_grad(Vec<T> dy, Vec<T> y) {
  if constexpr (f == Activation::relu) return select(y > Vec<T>(T(0)), dy, Vec<T>(T(0)));
  if constexpr (f == Activation::sigmoid) return dy * (y * (Vec<T>(T(1)) - y));
  if constexpr (f == Activation::tanh) return dy * fnma(y, y, Vec<T>(T(1)));
  return dy;
}

template <Activation f>
struct ActivationTag {
  static constexpr Activation value = f;
};

// Calls body(ActivationTag<f>{}): picks the function outside the loop.
template <class Body>
LAMINA_INLINE void with_activation(Activation f, Body body) {
  switch (f) {
    case Activation::none:
      return body(ActivationTag<Activation::none>{});
    case Activation::relu:
      return body(ActivationTag<Activation::relu>{});
    case Activation::sigmoid:
      return body(ActivationTag<Activation::sigmoid>{});
    case Activation::tanh:
      return body(ActivationTag<Activation::tanh>{});
  }
}

// C = f(C + bias) on m rows of n, bias null for none. Columns outside, rows inside: the bias stays in a
// register; for few vectors of columns, or C in L1.
template <class T>
void finish(Activation f, const void* bias_, void* c_, int64_t c_row, int64_t m, int64_t n) {
  using V = Vec<T>;
  const T* bias = static_cast<const T*>(bias_);
  with_activation(
      f, [=](auto tag) __attribute__((always_inline)) {
        for (int64_t j = 0; j < n; j += V::kLanes) {
          const int left = lanes_at<T>(n, j);
          const V add = bias ? V::load(bias + j, left) : V(T(-0.0));  // x + -0 = x for every x
          T* c = static_cast<T*>(c_) + j;
          for (int64_t i = 0; i < m; ++i, c += c_row) {
            activate<decltype(tag)::value>(V::load(c, left) + add).store(c, left);
          }
        }
      });
}

// C = f(C + bias) + residual, whose rows are as far apart as C's; null for none. With a residual rows are
// outside: it comes from further away than C, in the order in which it lies.
template <class T>
void finish(Activation f, const void* bias_, const void* residual_, void* c_, int64_t c_row, int64_t m,
            int64_t n) {
  using V = Vec<T>;
  if (!residual_) return finish<T>(f, bias_, c_, c_row, m, n);
  const T *bias = static_cast<const T*>(bias_), *residual = static_cast<const T*>(residual_);
  T* c = static_cast<T*>(c_);
  with_activation(
      f, [=](auto tag) __attribute__((always_inline)) {
        const auto add = [=](int64_t at, int64_t j, int left) __attribute__((always_inline)) {
          const V shift = bias ? V::load(bias + j, left) : V(T(-0.0));
          const V y = activate<decltype(tag)::value>(V::load(c + at, left) + shift);
          (y + V::load(residual + at, left)).store(c + at, left);
        };
        for (int64_t i = 0; i < m; ++i) {
          int64_t j = 0;
          for (; j + V::kLanes <= n; j += V::kLanes) add(i * c_row + j, j, V::kLanes);
          if (j < n) add(i * c_row + j, j, static_cast<int>(n - j));
        }
      });
}

}  // namespace
}  // namespace lamina
