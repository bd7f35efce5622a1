// Batch normalisation of (M, C) rows, vectors along the channels. Sums keep one accumulator per channel and
// go down the rows, four vectors at a time, and ask for the rows kRowsAhead of them.
#include "ops/norm.h"

#include "simd/vec.h"

namespace lamina {
namespace {

constexpr int64_t kRowsAhead = 16;
constexpr int64_t kPivotRows = 16;

// acc[k] of vector k (of kVectors) after f(acc[k], row, channel, lanes) for every row.
template <class T, int kVectors, class F>
LAMINA_INLINE void down(int64_t begin, int64_t end, int64_t c, int64_t c1, Vec<T>* acc, F f) {
  using V = Vec<T>;
  const int tail = lanes_at<T>(c1, c + (kVectors - 1) * V::kLanes);
  if (tail == V::kLanes) {
    for (int64_t row = begin; row < end; ++row) {
#pragma GCC unroll 4
      for (int k = 0; k < kVectors; ++k) f(acc[k], row, c + k * V::kLanes, V::kLanes);
    }
  } else {
    for (int64_t row = begin; row < end; ++row) {
#pragma GCC unroll 4
      for (int k = 0; k < kVectors; ++k)
        f(acc[k], row, c + k * V::kLanes, k + 1 < kVectors ? V::kLanes : tail);
    }
  }
}

// In one sweep, by sums about a pivot p, the mean of the first rows: with s = sum(x - p), q = sum((x - p)^2),
// the sum is n p + s, and m2 = q - s^2 / n. The pivot's own k rows add at least k (mean - p)^2 to m2, so q is
// at most 1 + n / k = 9 times m2, and the difference loses no more than that of its precision.
template <class T, int kVectors>
LAMINA_INLINE void moments_group(const T* x, int64_t C, int64_t begin, int64_t end, int64_t c, int64_t c1,
                                 T* sum_out, T* m2_out) {
  using V = Vec<T>;
  V pivot[kVectors], s[kVectors], q[kVectors];
  const int64_t first = simd_min(end, begin + kPivotRows);
  down<T, kVectors>(
      begin, first, c, c1,
      pivot, [&](V & acc, int64_t row, int64_t at, int n) __attribute__((always_inline)) {
        acc += V::load(x + row * C + at, n);
      });
  const V share(T(1) / static_cast<T>(first - begin));
  for (int k = 0; k < kVectors; ++k) {
    pivot[k] *= share;
    pivot[k] = select(abs(pivot[k]) < V(T(__builtin_inf())), pivot[k], V(0));  // infinities stay in s
  }
  down<T, kVectors>(
      begin, end, c, c1, s, [&](V & acc, int64_t row, int64_t at, int n) __attribute__((always_inline)) {
        const int k = static_cast<int>((at - c) / V::kLanes);
        const T* from = x + row * C;
        prefetch_line(from + kRowsAhead * C, at);
        const V d = V::load(from + at, n) - pivot[k];
        acc += d;
        q[k] = fma(d, d, q[k]);
      });
  const T rows = static_cast<T>(end - begin);
  for (int k = 0; k < kVectors; ++k) {
    const int64_t at = c + k * V::kLanes;
    const V m2 = fnma(s[k] * V(1 / rows), s[k], q[k]);
    fma(V(rows), pivot[k], s[k]).store(sum_out + at, lanes_at<T>(c1, at));
    max_or_second(V(0), m2).store(m2_out + at, lanes_at<T>(c1, at));
  }
}

template <class T>
void moments(const void* x_, int64_t C, int64_t begin, int64_t end, int64_t c0, int64_t c1, void* sum_,
             void* m2_) {
  const T* x = static_cast<const T*>(x_);
  T *sum = static_cast<T*>(sum_), *m2 = static_cast<T*>(m2_);
  constexpr int kLanes = Vec<T>::kLanes;
  int64_t c = c0;
  for (; c + 3 * kLanes < c1; c += 4 * kLanes) moments_group<T, 4>(x, C, begin, end, c, c1, sum, m2);
  for (; c < c1; c += kLanes) moments_group<T, 1>(x, C, begin, end, c, c1, sum, m2);
}

template <class T, int kVectors>
LAMINA_INLINE void grad_sums_group(const T* dy, const T* x, const T* mean, int64_t C, int64_t begin,
                                   int64_t end, int64_t c, int64_t c1, T* sum_dy, T* sum_dyx) {
  using V = Vec<T>;
  V a[kVectors], b[kVectors], mu[kVectors];
  for (int k = 0; k < kVectors; ++k) {
    const int64_t at = c + k * V::kLanes;
    mu[k] = V::load(mean + at, lanes_at<T>(c1, at));
  }
  down<T, kVectors>(
      begin, end, c, c1, a, [&](V & acc, int64_t row, int64_t at, int n) __attribute__((always_inline)) {
        const int k = static_cast<int>((at - c) / V::kLanes);
        prefetch_line(dy + (row + kRowsAhead) * C, at), prefetch_line(x + (row + kRowsAhead) * C, at);
        const V g = V::load(dy + row * C + at, n);
        acc += g;
        b[k] = fma(g, V::load(x + row * C + at, n) - mu[k], b[k]);
      });
  for (int k = 0; k < kVectors; ++k) {
    const int64_t at = c + k * V::kLanes;
    a[k].store(sum_dy + at, lanes_at<T>(c1, at));
    b[k].store(sum_dyx + at, lanes_at<T>(c1, at));
  }
}

template <class T>
void grad_sums(const void* dy_, const void* x_, const void* mean_, int64_t C, int64_t begin, int64_t end,
               int64_t c0, int64_t c1, void* sum_dy_, void* sum_dyx_) {
  const T *dy = static_cast<const T*>(dy_), *x = static_cast<const T*>(x_),
          *mean = static_cast<const T*>(mean_);
  T *sum_dy = static_cast<T*>(sum_dy_), *sum_dyx = static_cast<T*>(sum_dyx_);
  constexpr int kLanes = Vec<T>::kLanes;
  int64_t c = c0;
  for (; c + 3 * kLanes < c1; c += 4 * kLanes) {
    grad_sums_group<T, 4>(dy, x, mean, C, begin, end, c, c1, sum_dy, sum_dyx);
  }
  for (; c < c1; c += kLanes) grad_sums_group<T, 1>(dy, x, mean, C, begin, end, c, c1, sum_dy, sum_dyx);
}

template <class T>
void apply(const void* x_, const void* mean_, const void* scale_, const void* shift_, void* y_, int64_t C,
           int64_t begin, int64_t end) {
  using V = Vec<T>;
  const T *mean = static_cast<const T*>(mean_), *scale = static_cast<const T*>(scale_),
          *shift = static_cast<const T*>(shift_);
  for (int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(x_) + row * C;
    T* y = static_cast<T*>(y_) + row * C;
    along<T>(
        C, [&](int64_t c, int n) __attribute__((always_inline)) {
          prefetch_line(x + kFlatAhead<T>, c), prefetch_line(y + kFlatAhead<T>, c);
          fma(V::load(x + c, n) - V::load(mean + c, n), V::load(scale + c, n), V::load(shift + c, n))
              .store(y + c, n);
        });
  }
}

template <class T>
void grad(const void* dy_, const void* x_, const void* mean_, const void* a_, const void* b_, const void* k_,
          void* dx_, int64_t C, int64_t begin, int64_t end) {
  using V = Vec<T>;
  const T *mean = static_cast<const T*>(mean_), *a = static_cast<const T*>(a_),
          *b = static_cast<const T*>(b_), *k = static_cast<const T*>(k_);
  for (int64_t row = begin; row < end; ++row) {
    const T *dy = static_cast<const T*>(dy_) + row * C, *x = static_cast<const T*>(x_) + row * C;
    T* dx = static_cast<T*>(dx_) + row * C;
    along<T>(
        C, [&](int64_t c, int n) __attribute__((always_inline)) {
          prefetch_line(dy + kFlatAhead<T>, c), prefetch_line(x + kFlatAhead<T>, c),
              prefetch_line(dx + kFlatAhead<T>, c);
          const V centred = V::load(x + c, n) - V::load(mean + c, n);
          const V g = V::load(dy + c, n) * V::load(a + c, n) - V::load(b + c, n);
          fnma(centred, V::load(k + c, n), g).store(dx + c, n);
        });
  }
}

}  // namespace

namespace LAMINA_ROW {
extern const NormKernels norm_kernels;
const NormKernels norm_kernels = {{moments<float>, grad_sums<float>, apply<float>, grad<float>},
                                  {moments<double>, grad_sums<double>, apply<double>, grad<double>}};
}  // namespace LAMINA_ROW
}  // namespace lamina
