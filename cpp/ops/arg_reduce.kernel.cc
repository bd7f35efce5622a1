// Rows: find the extreme value, then where it first occurs. Columns: carry value and row number in lanes.
#include "ops/arg_reduce.h"

#include "ops/fold.h"

namespace lamina {
namespace {

template <bool kMin>
struct Extreme : MaxFold {};
template <>
struct Extreme<true> : MinFold {};

template <class T, bool kMin>
LAMINA_INLINE T extreme(const T* x, int64_t n) {
  const auto lanes = fold<T, Extreme<kMin>>(
      n, [x](int64_t i, int k) __attribute__((always_inline)) {
        return keep_first(Vec<T>::load(x + i, k), k, Vec<T>(kMin ? kHighest<T> : kLowest<T>));
      });
  return kMin ? reduce_min(lanes) : reduce_max(lanes);
}

template <class T, bool kMin>
void rows(const void* x_, int64_t lines, int64_t n, int64_t, int32_t* y) {
  for (int64_t r = 0; r < lines; ++r) {
    const T* x = static_cast<const T*>(x_) + r * n;
    const T m = extreme<T, kMin>(x, n);
    y[r] = 0;
    for (int64_t i = 0; i < n; i += Vec<T>::kLanes) {
      const int k = lanes_at<T>(n, i);
      const Vec<T> v = Vec<T>::load(x + i, k);
      if (!any((m != m ? v != v : v == Vec<T>(m)) & Mask<T>::first(k))) continue;
      int lane = 0;
      while (m != m ? x[i + lane] == x[i + lane] : x[i + lane] != m) ++lane;
      y[r] = static_cast<int32_t>(i + lane);
      break;
    }
  }
}

template <class T, bool kMin>
void columns(const void* x_, int64_t lines, int64_t n, int64_t stride, int32_t* y) {
  using V = Vec<T>;
  using Int = typename V::Int;
  for (int64_t c = 0; c < lines; c += V::kLanes) {
    const int k = lanes_at<T>(lines, c);
    const T* x = static_cast<const T*>(x_) + c;
    V best = V::load(x, k), at = bit_cast<T>(Vec<Int>(0));
    for (int64_t r = 1; r < n; ++r) {
      const V v = V::load(x + r * stride, k);
      const auto better = ((kMin ? v < best : v > best) | (v != v)) & (best == best);
      best = select(better, v, best);
      at = select(better, bit_cast<T>(Vec<Int>(static_cast<Int>(r))), at);
    }
    const Vec<Int> index = bit_cast<Int>(at);
    if constexpr (sizeof(Int) == 4) {
      index.store(y + c, k);
    } else {
      for (int i = 0; i < k; ++i) y[c + i] = static_cast<int32_t>(index[i]);
    }
  }
}

}  // namespace

namespace LAMINA_ROW {
extern const ArgReduceKernels arg_reduce_kernels;
const ArgReduceKernels arg_reduce_kernels = {
    {{rows<float, false>, columns<float, false>}, {rows<float, true>, columns<float, true>}},
    {{rows<double, false>, columns<double, false>}, {rows<double, true>, columns<double, true>}},
    {{rows<int32_t, false>, columns<int32_t, false>}, {rows<int32_t, true>, columns<int32_t, true>}},
    {{rows<int64_t, false>, columns<int64_t, false>}, {rows<int64_t, true>, columns<int64_t, true>}},
};
}  // namespace LAMINA_ROW
}  // namespace lamina
