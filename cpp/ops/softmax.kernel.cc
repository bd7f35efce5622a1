// A line is a row (vectors along it) or, across, one lane of vectors that step from row to row.
#include "ops/softmax.h"

#include "ops/fold.h"
#include "simd/math.h"

namespace lamina {
namespace {

// Addresses of a line for fold: fold counts elements of a row, or kLanes per row of columns.
template <class T, bool kAcross>
struct Line {
  int64_t n, stride;
  int columns;  // lanes in use, across only
  LAMINA_INLINE int64_t size() const { return kAcross ? n * Vec<T>::kLanes : n; }
  LAMINA_INLINE int64_t place(int64_t i) const { return kAcross ? i / Vec<T>::kLanes * stride : i; }
  LAMINA_INLINE int lanes(int k) const { return kAcross ? columns : k; }
  LAMINA_INLINE Vec<T> load(const T* p, int64_t i, int k) const {
    return Vec<T>::load(p + place(i), lanes(k));
  }
  LAMINA_INLINE void store(T* p, int64_t i, int k, Vec<T> v) const { v.store(p + place(i), lanes(k)); }
};

template <bool kAcross, class T>
LAMINA_INLINE Vec<T> max_of(Vec<T> lanes) {
  if constexpr (kAcross) return lanes;
  return Vec<T>(reduce_max(lanes));
}
template <bool kAcross, class T>
LAMINA_INLINE Vec<T> sum_of(Vec<T> lanes) {
  if constexpr (kAcross) return lanes;
  return Vec<T>(reduce_add(lanes));
}

// The row after p's, to be asked for while this one is computed upon, so that neither waits for the other;
// rows too long for the first cache level ask for themselves.
template <bool kAcross, class T>
LAMINA_INLINE const T* row_ahead(const T* p, int64_t n) {
  constexpr int64_t kLongest = (16 << 10) / sizeof(T);
  return !kAcross && n <= kLongest ? p + n : p;
}

template <class T, bool kLog, bool kAcross>
LAMINA_INLINE void softmax_line(const T* x, Line<T, kAcross> line, T* y) {
  using V = Vec<T>;
  const int64_t size = line.size();
  if (!kAcross && size <= V::kLanes) {  // stays in a register
    const int k = static_cast<int>(size);
    const V v = V::load(x, k), d = v - V(reduce_max(keep_first(v, k, V(kLowest<T>)))), e = exp(d);
    const V s(reduce_add(keep_first(e, k, V(0))));
    (kLog ? d - log(s) : e * (V(1) / s)).store(y, k);
    return;
  }
  // A NaN among the values comes back from their sum.
  const V m = max_of<kAcross>(fold<T, PeakFold>(
      size, [&](int64_t i, int k)
                __attribute__((always_inline)) { return keep_first(line.load(x, i, k), k, V(kLowest<T>)); }));
  const T* ahead = row_ahead<kAcross>(x, line.n);
  const V s = sum_of<kAcross>(fold<T, AddFold>(
      size, [&](int64_t i, int k) __attribute__((always_inline)) {
        if constexpr (!kAcross) prefetch_line(ahead, i);
        const V e = exp(line.load(x, i, k) - m);
        if constexpr (!kLog) line.store(y, i, k, e);
        return keep_first(e, k, V(0));
      }));
  const V by = kLog ? log(s) : V(1) / s;
  for (int64_t i = 0; i < size; i += V::kLanes) {
    const int k = lanes_at<T>(size, i);
    line.store(y, i, k, kLog ? line.load(x, i, k) - m - by : line.load(y, i, k) * by);
  }
}

template <class T, bool kLog, bool kAcross>
LAMINA_INLINE void softmax_grad_line(const T* dy, const T* y, Line<T, kAcross> line, T* dx) {
  using V = Vec<T>;
  const int64_t size = line.size();
  const V sum = sum_of<kAcross>(fold<T, AddFold>(
      size, [&](int64_t i, int k) __attribute__((always_inline)) {
        const V d = line.load(dy, i, k);  // 0 past k
        return kLog ? d : d * line.load(y, i, k);
      }));
  const T *dy_ahead = row_ahead<kAcross>(dy, line.n), *y_ahead = row_ahead<kAcross>(y, line.n);
  for (int64_t i = 0; i < size; i += V::kLanes) {
    if constexpr (!kAcross) prefetch_line(dy_ahead, i), prefetch_line(y_ahead, i);
    const int k = lanes_at<T>(size, i);
    const V d = line.load(dy, i, k), v = line.load(y, i, k);
    line.store(dx, i, k, kLog ? d - exp(v) * sum : v * (d - sum));
  }
}

// Calls f(offset, line) for every line; across, for every vector of lines.
template <class T, bool kAcross, class F>
LAMINA_INLINE void each_line(int64_t lines, int64_t n, int64_t stride, F f) {
  if constexpr (kAcross) {
    for (int64_t c = 0; c < lines; c += Vec<T>::kLanes) {
      f(c, Line<T, true>{n, stride, lanes_at<T>(lines, c)});
    }
  } else {
    for (int64_t r = 0; r < lines; ++r) f(r * n, Line<T, false>{n, stride, 0});
  }
}

template <class T, bool kLog, bool kAcross>
void softmax(const void* x, int64_t lines, int64_t n, int64_t stride, void* y) {
  each_line<T, kAcross>(lines, n, stride, [=](int64_t at, Line<T, kAcross> line) {
    softmax_line<T, kLog, kAcross>(static_cast<const T*>(x) + at, line, static_cast<T*>(y) + at);
  });
}

template <class T, bool kLog, bool kAcross>
void softmax_grad(const void* dy, const void* y, int64_t lines, int64_t n, int64_t stride, void* dx) {
  each_line<T, kAcross>(lines, n, stride, [=](int64_t at, Line<T, kAcross> line) {
    softmax_grad_line<T, kLog, kAcross>(static_cast<const T*>(dy) + at, static_cast<const T*>(y) + at, line,
                                        static_cast<T*>(dx) + at);
  });
}

template <class T, bool kLog, bool kAcross>
constexpr SoftmaxKernels::Pair kPair = {softmax<T, kLog, kAcross>, softmax_grad<T, kLog, kAcross>};

}  // namespace

namespace LAMINA_ROW {
extern const SoftmaxKernels softmax_kernels;
const SoftmaxKernels softmax_kernels = {
    {{kPair<float, false, false>, kPair<float, false, true>},
     {kPair<float, true, false>, kPair<float, true, true>}},
    {{kPair<double, false, false>, kPair<double, false, true>},
     {kPair<double, true, false>, kPair<double, true, true>}},
};
}  // namespace LAMINA_ROW
}  // namespace lamina
