// Depthwise convolution, see conv2d_depthwise.h.
#include "ops/conv2d_depthwise.h"

#include "ops/activation.kernel.h"
#include "simd/vec.h"

namespace lamina {
namespace {

constexpr int kColumns = 8;  // outputs at a time: one filter tap is loaded for all of them

// Columns [begin, end) of outputs whose taps all lie inside the row.
template <class A>
LAMINA_INLINE void inside(const A& a, int64_t& begin, int64_t& end) {
  begin = a.left < 0 ? (-a.left + a.stride - 1) / a.stride : 0;
  const int64_t room = a.width - 1 - (a.kw - 1) * a.step - a.left;
  end = room < 0 ? 0 : simd_min(a.columns, room / a.stride + 1);
  begin = simd_min(begin, a.columns);
  end = simd_max(begin, end);
}

// Taps of the output at column j that lie inside.
template <class A>
LAMINA_INLINE void taps_at(const A& a, int64_t j, int64_t& first, int64_t& last) {
  const int64_t w = a.left + j * a.stride;
  first = w < 0 ? (-w + a.step - 1) / a.step : 0;
  last = w >= a.width ? 0 : simd_min(a.kw, (a.width - 1 - w) / a.step + 1);
}

// `count` outputs from column j with taps [q0, q1), lanes of channels at c.
template <class T, int N, bool kFull>
LAMINA_INLINE void outputs(const DepthwiseRow& a, int64_t j, int64_t q0, int64_t q1, int64_t c, int tail) {
  using V = Vec<T>;
  const int lanes = kFull ? V::kLanes : tail;
  const T *x = static_cast<const T*>(a.source), *w = static_cast<const T*>(a.w);
  V acc[N];
  for (int64_t p = a.first_tap; p < a.last_tap; ++p) {
    const T* row = x + ((a.row + p * a.step_h) * a.width + a.left + j * a.stride) * a.c + c;
    for (int64_t q = q0; q < q1; ++q) {
      const V tap = V::load(w + p * a.w_kh + q * a.w_kw + c, lanes);
      const T* from = row + q * a.step * a.c;
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i) acc[i] = fma(V::load(from + i * a.stride * a.c, lanes), tap, acc[i]);
    }
  }
  const V bias = a.bias ? V::load(static_cast<const T*>(a.bias) + c, lanes) : V(T(-0.0));
  T* y = static_cast<T*>(a.y) + j * a.y_col + c;
  with_activation(
      a.activation, [&](auto f) __attribute__((always_inline)) {
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) activate<f.value>(acc[i] + bias).store(y + i * a.y_col, lanes);
      });
}

template <class T, int N>
void channels(const DepthwiseRow& a, int64_t j, int64_t q0, int64_t q1) {
  constexpr int kLanes = Vec<T>::kLanes;
  int64_t c = 0;
  for (; c + kLanes <= a.c; c += kLanes) outputs<T, N, true>(a, j, q0, q1, c, kLanes);
  if (c < a.c) outputs<T, N, false>(a, j, q0, q1, c, static_cast<int>(a.c - c));
}

// All channels of some columns before the next columns: memory in order.
template <class T>
void row(const DepthwiseRow& a) {
  int64_t begin, end;
  inside(a, begin, end);
  const auto border = [&](int64_t from, int64_t to) {
    for (int64_t j = from; j < to; ++j) {
      int64_t q0, q1;
      taps_at(a, j, q0, q1);
      channels<T, 1>(a, j, q0, q1);
    }
  };
  border(0, begin);
  // The last columns of a row once more with those before them, rather than one by one.
  const int64_t n = end - begin;
  if (n >= kColumns) {
    for (int64_t j = begin; j < end; j += kColumns)
      channels<T, kColumns>(a, simd_min(j, end - kColumns), 0, a.kw);
  } else if (n >= kColumns / 2) {
    for (int64_t j = begin; j < end; j += kColumns / 2) {
      channels<T, kColumns / 2>(a, simd_min(j, end - kColumns / 2), 0, a.kw);
    }
  } else {
    border(begin, end);
  }
  border(end, a.columns);
}

// Sums of taps (p, q) to (p, q + N) over columns [from, to), all of them inside.
template <class T, int N, bool kFull>
LAMINA_INLINE void weight_taps(const DepthwiseWeightRow& a, const T* dz, int64_t p, int64_t q, int64_t from,
                               int64_t to, int64_t c, int tail) {
  using V = Vec<T>;
  const int lanes = kFull ? V::kLanes : tail;
  const int64_t column = a.step * a.c, next = a.stride * a.c;
  const T* x = static_cast<const T*>(a.source) + ((a.row + p * a.step_h) * a.width + a.left) * a.c +
               q * column + from * next + c;
  V sum[N];
  for (int64_t j = from; j < to; ++j, x += next) {
    const V d = V::load(dz + j * V::kLanes);
#pragma GCC unroll 7
    for (int i = 0; i < N; ++i) sum[i] = fma(V::load(x + i * column, lanes), d, sum[i]);
  }
  T* dw = static_cast<T*>(a.dw) + (p * a.kw + q) * a.c + c;
#pragma GCC unroll 7
  for (int i = 0; i < N; ++i) (V::load(dw + i * a.c, lanes) + sum[i]).store(dw + i * a.c, lanes);
}

// All taps of the rows inside.
template <class T, bool kFull>
void weight_columns(const DepthwiseWeightRow& a, const T* dz, int64_t from, int64_t to, int64_t c,
                    int lanes) {
  if (from >= to) return;
  for (int64_t p = a.first_tap; p < a.last_tap; ++p) {
    int64_t q = 0;
    for (; q + 5 <= a.kw; q += 5) weight_taps<T, 5, kFull>(a, dz, p, q, from, to, c, lanes);
    for (; q + 3 <= a.kw; q += 3) weight_taps<T, 3, kFull>(a, dz, p, q, from, to, c, lanes);
    for (; q < a.kw; ++q) weight_taps<T, 1, kFull>(a, dz, p, q, from, to, c, lanes);
  }
}

constexpr int64_t kPiece = 64;  // columns whose dz is kept

template <class T>
void weight_row(const DepthwiseWeightRow& a) {
  using V = Vec<T>;
  int64_t begin, end;
  inside(a, begin, end);
  T kept[kPiece * V::kLanes];
  for (int64_t c = 0; c < a.c; c += V::kLanes) {
    const int lanes = lanes_at<T>(a.c, c);
    V total;
    for (int64_t first = 0; first < a.columns; first += kPiece) {
      const int64_t last = simd_min(a.columns, first + kPiece);
      with_activation(a.activation, [&](auto f) {
        for (int64_t j = first; j < last; ++j) {
          V d = V::load(static_cast<const T*>(a.dy) + j * a.c + c, lanes);
          if constexpr (f.value != Activation::none) {
            d = activate_grad<f.value>(d, V::load(static_cast<const T*>(a.y) + j * a.c + c, lanes));
            if (a.dz) d.store(static_cast<T*>(a.dz) + j * a.c + c, lanes);
          }
          d.store(kept + (j - first) * V::kLanes);
          total += d;
        }
      });
      const T* dz = kept - first * V::kLanes;
      const int64_t from = simd_max(first, begin), to = simd_min(last, end);
      lanes == V::kLanes ? weight_columns<T, true>(a, dz, from, to, c, lanes)
                         : weight_columns<T, false>(a, dz, from, to, c, lanes);
      const auto border = [&](int64_t j0, int64_t j1) {
        for (int64_t j = simd_max(j0, first); j < simd_min(j1, last); ++j) {
          int64_t q0, q1;
          taps_at(a, j, q0, q1);
          for (int64_t p = a.first_tap; p < a.last_tap; ++p) {
            for (int64_t q = q0; q < q1; ++q) weight_taps<T, 1, false>(a, dz, p, q, j, j + 1, c, lanes);
          }
        }
      };
      border(0, begin);
      border(end, a.columns);
    }
    if (a.db) {
      T* db = static_cast<T*>(a.db) + c;
      (V::load(db, lanes) + total).store(db, lanes);
    }
  }
}

}  // namespace

namespace LAMINA_ROW {
extern const DepthwiseKernels depthwise_kernels;
const DepthwiseKernels depthwise_kernels = {{row<float>, weight_row<float>},
                                            {row<double>, weight_row<double>}};
}  // namespace LAMINA_ROW
}  // namespace lamina
