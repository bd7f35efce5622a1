// Optimiser updates, formulas in optimizer.h. Scaling by 1 and clipping at infinity leave every gradient as
// it is.
#include "ops/optimizer.h"

#include "simd/vec.h"

namespace lamina {
namespace {

template <class T>
struct Scalars {
  explicit LAMINA_INLINE Scalars(const UpdateArgs& a)
      : lr(static_cast<T>(a.lr)),
        decay(static_cast<T>(a.decay)),
        scale(static_cast<T>(a.scale)),
        clip(static_cast<T>(a.clip)) {}
  LAMINA_INLINE Vec<T> gradient(const T* g, int n) const {
    return clamp(Vec<T>::load(g, n) * scale, -clip, clip);
  }
  LAMINA_INLINE Vec<T> decayed(const T* p, int n) const {
    const Vec<T> v = Vec<T>::load(p, n);
    return fnma(v, decay, v);
  }
  Vec<T> lr, decay, scale, clip;
};

template <class T, bool kMomentum, bool kNesterov>
LAMINA_INLINE void sgd_loop(const UpdateArgs& a, const T* g, T* p, T* m, int64_t n) {
  using V = Vec<T>;
  const Scalars<T> s(a);
  const V momentum(static_cast<T>(a.momentum));
  for (int64_t i = 0; i < n; i += V::kLanes) {
    const int k = lanes_at<T>(n, i);
    const V step = s.gradient(g + i, k) * s.lr, before = s.decayed(p + i, k);
    if constexpr (kMomentum) {
      const V velocity = V::load(m + i, k) * momentum - step;
      velocity.store(m + i, k);
      (before + (kNesterov ? velocity * momentum - step : velocity)).store(p + i, k);
    } else {
      (before - step).store(p + i, k);
    }
  }
}

template <class T>
void sgd(const UpdateArgs& a, const void* g_, void* p_, void* const* slots, int64_t n) {
  const T* g = static_cast<const T*>(g_);
  T *p = static_cast<T*>(p_), *m = static_cast<T*>(slots[0]);
  if (!m) return sgd_loop<T, false, false>(a, g, p, m, n);
  a.nesterov ? sgd_loop<T, true, true>(a, g, p, m, n) : sgd_loop<T, true, false>(a, g, p, m, n);
}

template <class T, bool kAmsgrad>
LAMINA_INLINE void adam_loop(const UpdateArgs& a, const T* g_, T* p, T* m_, T* v_, T* max_, int64_t n) {
  using V = Vec<T>;
  const Scalars<T> s(a);
  const V rate_m(static_cast<T>(1 - a.beta_1)), rate_v(static_cast<T>(1 - a.beta_2)),
      epsilon(static_cast<T>(a.epsilon));
  for (int64_t i = 0; i < n; i += V::kLanes) {
    const int k = lanes_at<T>(n, i);
    const V g = s.gradient(g_ + i, k);
    V m = V::load(m_ + i, k), v = V::load(v_ + i, k);
    m = fma(g - m, rate_m, m);
    v = fma(g * g - v, rate_v, v);
    m.store(m_ + i, k);
    v.store(v_ + i, k);
    if constexpr (kAmsgrad) {
      v = max(V::load(max_ + i, k), v);
      v.store(max_ + i, k);
    }
    (s.decayed(p + i, k) - m * s.lr / (sqrt(v) + epsilon)).store(p + i, k);
  }
}

template <class T>
void adam(const UpdateArgs& a, const void* g_, void* p_, void* const* slots, int64_t n) {
  const T* g = static_cast<const T*>(g_);
  T *p = static_cast<T*>(p_), *m = static_cast<T*>(slots[0]), *v = static_cast<T*>(slots[1]),
    *max_v = static_cast<T*>(slots[2]);
  max_v ? adam_loop<T, true>(a, g, p, m, v, max_v, n) : adam_loop<T, false>(a, g, p, m, v, max_v, n);
}

template <class T>
double square_sum(const void* g_, int64_t n) {
  using V = Vec<T>;
  const T* g = static_cast<const T*>(g_);
  V sum[4];
  int64_t i = 0;
  for (; i + 4 * V::kLanes <= n; i += 4 * V::kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const V v = V::load(g + i + k * V::kLanes);
      sum[k] = fma(v, v, sum[k]);
    }
  }
  for (; i < n; i += V::kLanes) {
    const V v = V::load(g + i, lanes_at<T>(n, i));
    sum[0] = fma(v, v, sum[0]);
  }
  return reduce_add((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

}  // namespace

namespace LAMINA_ROW {
extern const OptimizerKernels optimizer_kernels;
const OptimizerKernels optimizer_kernels = {{sgd<float>, adam<float>, square_sum<float>},
                                            {sgd<double>, adam<double>, square_sum<double>}};
}  // namespace LAMINA_ROW
}  // namespace lamina
