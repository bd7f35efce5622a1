// Optimiser updates, formulas in optimizer.h. Plain: gradients are neither scaled nor clipped, parameters do
// not decay.
#include "ops/optimizer.h"

#include "simd/math.h"

namespace lamina {
namespace {

template <class T, bool kPlain>
struct Scalars {
  explicit LAMINA_INLINE Scalars(const UpdateArgs& a)
      : lr(static_cast<T>(a.lr)),
        decay(static_cast<T>(a.decay)),
        scale(static_cast<T>(a.scale)),
        clip(static_cast<T>(a.clip)) {}
  LAMINA_INLINE Vec<T> gradient(const T* g, int n) const {
    if constexpr (kPlain) return Vec<T>::load(g, n);
    return clamp(Vec<T>::load(g, n) * scale, -clip, clip);
  }
  LAMINA_INLINE Vec<T> decayed(const T* p, int n) const {
    const Vec<T> v = Vec<T>::load(p, n);
    return kPlain ? v : fnma(v, decay, v);
  }
  Vec<T> lr, decay, scale, clip;
};

inline bool is_plain(const UpdateArgs& a) { return a.scale == 1 && a.decay == 0 && a.clip == kInfF; }

// body(offset, elements) for every vector of n, the last one partial.
template <class T, class Body>
LAMINA_INLINE void each_vector(int64_t n, Body body) {
  constexpr int kLanes = Vec<T>::kLanes;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, kLanes);
  if (i < n) body(i, static_cast<int>(n - i));
}

template <class T, bool kPlain, bool kMomentum, bool kNesterov>
void sgd_loop(const UpdateArgs& a, const T* g, T* p, T* m, int64_t n) {
  using V = Vec<T>;
  const Scalars<T, kPlain> s(a);
  const V momentum(static_cast<T>(a.momentum));
  each_vector<T>(
      n, [&](int64_t i, int k) __attribute__((always_inline)) {
        const V step = s.gradient(g + i, k) * s.lr, before = s.decayed(p + i, k);
        if constexpr (kMomentum) {
          const V velocity = V::load(m + i, k) * momentum - step;
          velocity.store(m + i, k);
          (before + (kNesterov ? velocity * momentum - step : velocity)).store(p + i, k);
        } else {
          (before - step).store(p + i, k);
        }
      });
}

template <class T>
void sgd(const UpdateArgs& a, const void* g_, void* p_, void* const* slots, int64_t n) {
  const T* g = static_cast<const T*>(g_);
  T *p = static_cast<T*>(p_), *m = static_cast<T*>(slots[0]);
  const auto loop = !m ? is_plain(a) ? sgd_loop<T, true, false, false> : sgd_loop<T, false, false, false>
                    : a.nesterov ? sgd_loop<T, false, true, true>
                                 : sgd_loop<T, false, true, false>;
  loop(a, g, p, m, n);
}

template <class T, bool kPlain, bool kAmsgrad>
void adam_loop(const UpdateArgs& a, const T* g_, T* p, T* m_, T* v_, T* max_, int64_t n) {
  using V = Vec<T>;
  const Scalars<T, kPlain> s(a);
  const V rate_m(static_cast<T>(1 - a.beta_1)), rate_v(static_cast<T>(1 - a.beta_2)),
      epsilon(static_cast<T>(a.epsilon));
  each_vector<T>(
      n, [&](int64_t i, int k) __attribute__((always_inline)) {
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
        (s.decayed(p + i, k) - quotient(m * s.lr, sqrt(v) + epsilon)).store(p + i, k);
      });
}

template <class T>
void adam(const UpdateArgs& a, const void* g_, void* p_, void* const* slots, int64_t n) {
  const T* g = static_cast<const T*>(g_);
  T *p = static_cast<T*>(p_), *m = static_cast<T*>(slots[0]), *v = static_cast<T*>(slots[1]),
    *max_v = static_cast<T*>(slots[2]);
  const auto loop = max_v         ? adam_loop<T, false, true>
                    : is_plain(a) ? adam_loop<T, true, false>
                                  : adam_loop<T, false, false>;
  loop(a, g, p, m, v, max_v, n);
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
