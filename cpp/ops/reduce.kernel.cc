// Folds of rows (contiguous elements) and of columns (one vector lane per column).
#include "ops/reduce.h"

#include "ops/fold.h"

namespace lamina {
namespace {

template <class T, Fold kFold>
struct Folding;
template <class T>
struct Folding<T, Fold::kSum> : AddFold {
  static constexpr T kNeutral = 0;
  static LAMINA_INLINE T lanes(Vec<T> v) { return reduce_add(v); }
};
template <class T>
struct Folding<T, Fold::kProd> : MultiplyFold {
  static constexpr T kNeutral = 1;
  static LAMINA_INLINE T lanes(Vec<T> v) {
    return Vec<T>::reduce(
        v, [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return a * b; });
  }
};
template <class T>
struct Folding<T, Fold::kMax> : MaxFold {
  static constexpr T kNeutral = kLowest<T>;
  static LAMINA_INLINE T lanes(Vec<T> v) { return reduce_max(v); }
};
template <class T>
struct Folding<T, Fold::kMin> : MinFold {
  static constexpr T kNeutral = kHighest<T>;
  static LAMINA_INLINE T lanes(Vec<T> v) { return reduce_min(v); }
};

// Rows this short are folded down columns: one lane per row.
constexpr int64_t kShortRow = 8;

template <class T, Fold kFold>
void rows(const void* x_, int64_t stride, int64_t rows, int64_t n, void* y_) {
  using F = Folding<T, kFold>;
  using V = Vec<T>;
  const T* x = static_cast<const T*>(x_);
  T* y = static_cast<T*>(y_);
  if (n <= kShortRow) {
    for (int64_t r = 0; r < rows; r += V::kLanes) {
      const int k = lanes_at<T>(rows, r);
      V v = V::load_strided(x + r * stride, stride, k);
      for (int64_t j = 1; j < n; ++j) v = F::apply(v, V::load_strided(x + r * stride + j, stride, k));
      v.store(y + r, k);
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = x + r * stride;
    y[r] = F::lanes(fold<T, F>(
        n, [row](int64_t i, int k) __attribute__((always_inline)) {
          return keep_first(V::load(row + i, k), k, V(F::kNeutral));
        }));
  }
}

// kWide vectors of columns at once, even and odd rows in chains of their own; k lanes of the last vector are
// used.
template <int kWide, class F, class T>
LAMINA_INLINE void strip(const T* x, int64_t stride, int64_t rows, int64_t tail, int k, T* y) {
  using V = Vec<T>;
  constexpr int kLanes = V::kLanes;
  V even[kWide], odd[kWide];
  for (int w = 0; w < kWide; ++w) even[w] = odd[w] = V(F::kNeutral);
  int64_t r = 0;
  for (; r + 2 <= rows; r += 2, x += 2 * stride) {
    for (int w = 0; w < kWide; ++w) {
      even[w] = F::apply(even[w], V::load(x + w * kLanes, k));
      odd[w] = F::apply(odd[w], V::load(x + stride + w * kLanes, k));
    }
  }
  if (r < rows) {
    for (int w = 0; w < kWide; ++w) even[w] = F::apply(even[w], V::load(x + w * kLanes, k));
    x += stride;
  }
  for (int w = 0; w < kWide; ++w) {
    const int64_t left = tail - w * kLanes;
    if (left > 0) {
      const int m = left < k ? static_cast<int>(left) : k;
      odd[w] = F::apply(odd[w], keep_first(V::load(x + w * kLanes, m), m, V(F::kNeutral)));
    }
    F::apply(even[w], odd[w]).store(y + w * kLanes, k);
  }
}

template <class T, Fold kFold>
void columns(const void* x_, int64_t stride, int64_t rows, int64_t cols, int64_t tail, void* y_) {
  using F = Folding<T, kFold>;
  constexpr int kLanes = Vec<T>::kLanes, kWide = 4;
  const T* x = static_cast<const T*>(x_);
  T* y = static_cast<T*>(y_);
  int64_t c = 0;
  for (; c + kWide * kLanes <= cols; c += kWide * kLanes) {
    strip<kWide, F>(x + c, stride, rows, tail - c, kLanes, y + c);
  }
  for (; c + kLanes <= cols; c += kLanes) strip<1, F>(x + c, stride, rows, tail - c, kLanes, y + c);
  if (c < cols) strip<1, F>(x + c, stride, rows, tail - c, static_cast<int>(cols - c), y + c);
}

template <class T>
void divide(void* y_, int64_t n, double by) {
  T* y = static_cast<T*>(y_);
  const Vec<T> d(static_cast<T>(by));
  for (int64_t i = 0; i < n; i += Vec<T>::kLanes) {
    const int k = lanes_at<T>(n, i);
    (Vec<T>::load(y + i, k) / d).store(y + i, k);
  }
}

template <class T, Fold kFold>
constexpr ReduceKernels::Pair kPair = {rows<T, kFold>, columns<T, kFold>};

}  // namespace

namespace LAMINA_ROW {
extern const ReduceKernels reduce_kernels;
const ReduceKernels reduce_kernels = {
    {kPair<float, Fold::kSum>, kPair<float, Fold::kProd>, kPair<float, Fold::kMax>, kPair<float, Fold::kMin>},
    {kPair<double, Fold::kSum>, kPair<double, Fold::kProd>, kPair<double, Fold::kMax>,
     kPair<double, Fold::kMin>},
    {kPair<int32_t, Fold::kSum>, kPair<int32_t, Fold::kProd>, kPair<int32_t, Fold::kMax>,
     kPair<int32_t, Fold::kMin>},
    {kPair<int64_t, Fold::kSum>, kPair<int64_t, Fold::kProd>, kPair<int64_t, Fold::kMax>,
     kPair<int64_t, Fold::kMin>},
    divide<float>,
    divide<double>,
};
}  // namespace LAMINA_ROW
}  // namespace lamina
