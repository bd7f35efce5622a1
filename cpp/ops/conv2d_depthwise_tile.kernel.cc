// Tiles of depthwise convolutions, see conv2d_depthwise_tile.h.
#include "ops/conv2d_depthwise_tile.h"

#include "ops/activation.kernel.h"
#include "ops/conv2d_direct.h"
#include "simd/vec.h"

namespace lamina {
namespace {

constexpr int kTaps = 3;
template <int S>
constexpr int kOpen = (kTaps + S - 1) / S;  // outputs of a row that see the same S pixels

// Whole vectors have a copy of the code: float64 does without, for the library's size.
template <class T>
constexpr bool kWhole = sizeof(T) == sizeof(float);

template <class T>
using Taps = Vec<T>[kTaps][kTaps];

// R rows of outputs. Every source vector is loaded once and added to all outputs that see it: step j begins
// output j and finishes output j - kOpen + 1.
template <class T, int S, int R, bool kFull>
LAMINA_INLINE void strip(const ConvJob& job, const DepthwiseForward& a, const DepthwiseTile& t, int64_t c,
                         int tail) {
  using V = Vec<T>;
  constexpr int kSeen = S * (R - 1) + kTaps;  // rows
  const int lanes = kFull ? V::kLanes : tail;
  const int64_t channels = job.c, width = job.w, left = job.left, y_row = job.y_row, y_col = job.y_col;
  const int64_t top = job.top + t.row * S, pitch = width * channels, end = t.column + t.columns;
  const int64_t first = simd_max<int64_t>(0, -top), last = simd_min<int64_t>(kSeen, job.h - top);
  const T* w = static_cast<const T*>(a.w) + c;
  const T* x = static_cast<const T*>(a.x) + top * pitch + c;
  T* y = static_cast<T*>(a.y) + t.row * y_row + c;
  Taps<T> tap;
  V sum[R][kOpen<S>];
#pragma GCC unroll 3
  for (int p = 0; p < kTaps; ++p) {
#pragma GCC unroll 3
    for (int q = 0; q < kTaps; ++q) tap[p][q] = V::load(w + p * job.w_kh + q * job.w_kw, lanes);
  }
  const V bias = a.bias ? V::load(static_cast<const T*>(a.bias) + c, lanes) : V();
  const T* next_x = x + (t.column * S + left) * channels + t.ahead_x + c * (t.columns * S - 1);
  const T* next_y = y + t.column * y_col + t.ahead_y + c * (t.columns - 1);
  for (int64_t j = t.column; j < end + kOpen<S> - 1; ++j, next_x += S * lanes, next_y += lanes) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int i = 0; i < S * S; ++i) prefetch(next_x + (r * S + i / S) * pitch + i % S * lanes);
      prefetch(next_y + r * y_row);
#pragma GCC unroll 3
      for (int k = kOpen<S> - 1; k > 0; --k) sum[r][k] = sum[r][k - 1];
      sum[r][0] = bias;
    }
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s) {
      const int64_t v = left + j * S + s;
      if (v < 0 || v >= width) continue;
#pragma GCC unroll 16
      for (int i = 0; i < kSeen; ++i) {
        if (i < first || i >= last) continue;
        const V seen = V::load(x + i * pitch + v * channels, lanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const int p = i - S * r;
          if (p < 0 || p >= kTaps) continue;
#pragma GCC unroll 3
          for (int k = 0; k < kOpen<S>; ++k) {
            if (s + S * k < kTaps) sum[r][k] = fma(seen, tap[p][s + S * k], sum[r][k]);
          }
        }
      }
    }
    const int64_t done = j - kOpen<S> + 1;
    if (done < t.column) continue;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r][kOpen<S> - 1].store(y + r * y_row + done * y_col, lanes);
  }
}

template <class T, int S, int R>
void strips(const ConvJob& job, const DepthwiseForward& a, const DepthwiseTile& t) {
  for (int64_t c = 0; c < job.c; c += Vec<T>::kLanes) {
    const int lanes = lanes_at<T>(job.c, c);
    if (kWhole<T> && lanes == Vec<T>::kLanes) {
      strip<T, S, R, true>(job, a, t, c, lanes);
    } else {
      strip<T, S, R, false>(job, a, t, c, lanes);
    }
  }
}

constexpr int kRows = kVecRegisters == 32 ? 4 : 2;

template <class T, int S>
void forward(const ConvJob& job, const DepthwiseForward& a, const DepthwiseTile& t) {
  if constexpr (kRows == 4) {
    if (t.rows == 4) strips<T, S, 4>(job, a, t);
    if (t.rows == 3) strips<T, S, 3>(job, a, t);
  }
  if (t.rows == 2) strips<T, S, 2>(job, a, t);
  if (t.rows == 1) strips<T, S, 1>(job, a, t);
  if (a.activation == Activation::none) return;
  for (int64_t row = t.row; row < t.row + t.rows; ++row) {
    finish<T>(a.activation, nullptr, static_cast<T*>(a.y) + row * job.y_row + t.column * job.y_col, job.y_col,
              t.columns, job.c);
  }
}

// A row of cells as its walk sees it.
template <class T>
struct CellRow {
  const T *x, *dy, *y;                       // column 0 of the source is x's, of the outputs dy's and y's
  T* dx;                                     // or null
  int64_t channels, width, pitch, left;      // of the source
  int64_t columns, y_pitch;                  // of the outputs
  int64_t first_i, last_i, first_k, last_k;  // of the cells' rows of pixels, and of the window, inside
  Activation activation;

  LAMINA_INLINE Vec<T> dz(int64_t at, int lanes) const {
    Vec<T> d = Vec<T>::load(dy + at, lanes);
    if (activation != Activation::none) {
      with_activation(
          activation, [&](auto f) __attribute__((always_inline)) {
            d = activate_grad<f.value>(d, Vec<T>::load(y + at, lanes));
          });
    }
    return d;
  }
};

// One cell: pixels gather dx from the window, dz of kOpen x kOpen outputs, and give their products with it to
// the sums. Outputs of column j - l are in register (l + P) mod kOpen. kInside: pixels and outputs all are.
template <class T, int S, int P, bool kInside>
LAMINA_INLINE void cell(const CellRow<T>& r, int64_t j, const Taps<T>& tap,
                        const Vec<T> (&window)[kOpen<S>][kOpen<S>], Taps<T>& sum, int lanes) {
  using V = Vec<T>;
#pragma GCC unroll 2
  for (int i = 0; i < S; ++i) {
    if (!kInside && (i < r.first_i || i >= r.last_i)) continue;
#pragma GCC unroll 2
    for (int s = 0; s < S; ++s) {
      const int64_t v = r.left + j * S + s, at = i * r.pitch + v * r.channels;
      if (!kInside && (v < 0 || v >= r.width)) continue;
      const V seen = V::load(r.x + at, lanes);
      V dx[kOpen<S>];  // a chain for every row of outputs
#pragma GCC unroll 3
      for (int k = 0; k < kOpen<S>; ++k) {
        const int p = i + S * k;
        if (p >= kTaps || (!kInside && (k < r.first_k || k >= r.last_k))) continue;
#pragma GCC unroll 3
        for (int l = 0; l < kOpen<S>; ++l) {
          const int q = s + S * l;
          if (q >= kTaps || (!kInside && (j < l || j - l >= r.columns))) continue;
          const V dz = window[k][(l + P) % kOpen<S>];
          dx[k] = fma(dz, tap[p][q], dx[k]);
          sum[p][q] = fma(seen, dz, sum[p][q]);
        }
        if (k > 0) dx[0] += dx[k];
      }
      if (r.dx) dx[0].store(r.dx + at, lanes);
    }
  }
}

template <class T, int S, bool kFull>
LAMINA_INLINE void cells(const ConvJob& job, const DepthwiseGrads& a, const DepthwiseTile& t, int64_t c,
                         int tail) {
  using V = Vec<T>;
  const int lanes = kFull ? V::kLanes : tail;
  const int64_t channels = job.c, pitch = job.w * channels, y_pitch = job.ow * channels;
  const int64_t left = job.left, columns = job.ow, end = t.column + t.columns;
  // Columns whose pixels and outputs are all inside.
  const int64_t begin_inside = simd_max<int64_t>(kOpen<S> - 1, (S - 1 - left) / S),
                end_inside = simd_min(simd_min(columns, (job.w - left) / S), end);
  Taps<T> tap, sum;
  V total;
  if (a.w) {
#pragma GCC unroll 3
    for (int p = 0; p < kTaps; ++p) {
#pragma GCC unroll 3
      for (int q = 0; q < kTaps; ++q) {
        tap[p][q] = V::load(static_cast<const T*>(a.w) + (p * kTaps + q) * channels + c, lanes);
      }
    }
  }
  for (int64_t m = t.row; m < t.row + t.rows; ++m) {
    const int64_t top = job.top + m * S, source = top * pitch + c, out = m * y_pitch + c;
    const CellRow<T> r = {.x = static_cast<const T*>(a.x) + source,
                          .dy = static_cast<const T*>(a.dy) + out,
                          .y = static_cast<const T*>(a.y) + out,
                          .dx = a.dx ? static_cast<T*>(a.dx) + source : nullptr,
                          .channels = channels,
                          .width = job.w,
                          .pitch = pitch,
                          .left = left,
                          .columns = columns,
                          .y_pitch = y_pitch,
                          .first_i = simd_max<int64_t>(0, -top),
                          .last_i = simd_min<int64_t>(S, job.h - top),
                          .first_k = simd_max<int64_t>(0, m - job.oh + 1),
                          .last_k = simd_min<int64_t>(kOpen<S>, m + 1),
                          .activation = a.activation};
    const bool inside = r.last_i - r.first_i == S && r.last_k - r.first_k == kOpen<S>;
    const int64_t next = (t.column * S + left) * channels + t.ahead_x + c * (t.columns * S - 1);
    const T *next_x = r.x + next, *next_dx = (a.dx ? r.dx : r.x) + next,
            *next_dy = r.dy + t.column * channels + t.ahead_y + c * (t.columns - 1);
    const auto ask_for_next = [&]() __attribute__((always_inline)) {
#pragma GCC unroll 4
      for (int i = 0; i < S * S; ++i) {
        prefetch(next_x + i / S * pitch + i % S * lanes);
        prefetch(next_dx + i / S * pitch + i % S * lanes);
      }
      prefetch(next_dy);
      next_x += S * lanes;
      next_dx += S * lanes;
      next_dy += lanes;
    };
    V window[kOpen<S>][kOpen<S>];
    const auto shift = [&]() __attribute__((always_inline)) {
#pragma GCC unroll 3
      for (int k = 0; k < kOpen<S>; ++k) {
#pragma GCC unroll 3
        for (int l = kOpen<S> - 1; l > 0; --l) window[k][l] = window[k][l - 1];
      }
    };
    const auto read = [&](int64_t j) __attribute__((always_inline)) {
      shift();
#pragma GCC unroll 3
      for (int k = 0; k < kOpen<S>; ++k) {
        if (k >= r.first_k && k < r.last_k && j < columns) {
          window[k][0] = r.dz(j * channels - k * y_pitch, lanes);
        }
      }
    };
    const auto step_inside = [&]<int P>(int64_t j) __attribute__((always_inline)) {
      ask_for_next();
#pragma GCC unroll 3
      for (int k = 0; k < kOpen<S>; ++k) window[k][P] = r.dz(j * channels - k * y_pitch, lanes);
      cell<T, S, P, true>(r, j, tap, window, sum, lanes);
    };
    for (int64_t j = simd_max<int64_t>(0, t.column - kOpen<S> + 1); j < t.column; ++j) read(j);
    for (int64_t j = t.column; j < end;) {
      if (!inside || j < begin_inside || j >= end_inside) {
        ask_for_next();
        read(j);
        cell<T, S, 0, false>(r, j, tap, window, sum, lanes);
        ++j;
        continue;
      }
      for (; j + kOpen<S> <= end_inside; j += kOpen<S>) {
        if constexpr (kOpen<S> == 3) step_inside.template operator()<2>(j);
        step_inside.template operator()<1>(j + kOpen<S> - 2);
        step_inside.template operator()<0>(j + kOpen<S> - 1);
      }
      for (; j < end_inside; ++j) {
        shift();
        step_inside.template operator()<0>(j);
      }
    }
    const int64_t row = m - a.first_row;
    if (!a.db || row < 0 || row >= job.oh) continue;
    for (int64_t j = t.column - a.first_column; j < simd_min(columns, end - a.first_column); ++j) {
      total += r.dz(j * channels - a.first_row * y_pitch, lanes);
    }
  }
  const auto add = [&](void* to, V by) __attribute__((always_inline)) {
    T* at = static_cast<T*>(to) + c;
    (V::load(at, lanes) + by).store(at, lanes);
  };
#pragma GCC unroll 3
  for (int p = 0; p < kTaps; ++p) {
#pragma GCC unroll 3
    for (int q = 0; q < kTaps; ++q) add(static_cast<T*>(a.dw) + (p * kTaps + q) * channels, sum[p][q]);
  }
  if (a.db) add(a.db, total);
}

template <class T, int S>
void grads(const ConvJob& job, const DepthwiseGrads& a, const DepthwiseTile& t) {
  for (int64_t c = 0; c < job.c; c += Vec<T>::kLanes) {
    const int lanes = lanes_at<T>(job.c, c);
    if (kWhole<T> && lanes == Vec<T>::kLanes) {
      cells<T, S, true>(job, a, t, c, lanes);
    } else {
      cells<T, S, false>(job, a, t, c, lanes);
    }
  }
}

template <class T>
void add_up(void* to, const void* from, int64_t blocks, int64_t stride, int64_t begin, int64_t end) {
  along<T>(
      begin, end, [&](int64_t i, int n) __attribute__((always_inline)) {
        const T* at = static_cast<const T*>(from) + i;
        Vec<T> sum = Vec<T>::load(at, n);
        for (int64_t block = 1; block < blocks; ++block) sum += Vec<T>::load(at + block * stride, n);
        sum.store(static_cast<T*>(to) + i, n);
      });
}

template <class T>
constexpr DepthwiseTileKernels::Table kTable = {
    {forward<T, 1>, forward<T, 2>}, {grads<T, 1>, grads<T, 2>}, add_up<T>, kRows};

}  // namespace

namespace LAMINA_ROW {
extern const DepthwiseTileKernels depthwise_tile_kernels;
const DepthwiseTileKernels depthwise_tile_kernels = {kTable<float>, kTable<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
