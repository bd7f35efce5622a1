// The rules of optimizer.h, one struct for each: what it keeps of the settings, then the new parameter from
// gradient g, parameter p (after decay) and slots s.
#pragma once

#include "ops/optimizer_loop.h"

namespace lamina {
namespace {

// a x + (1 - a) y, and x + (y - x) a.
template <class T>
struct Mean {
  explicit LAMINA_INLINE Mean(double a) : keep(static_cast<T>(a)), take(static_cast<T>(1 - a)) {}
  LAMINA_INLINE Vec<T> operator()(Vec<T> x, Vec<T> y) const { return fma(x, keep, y * take); }
  LAMINA_INLINE Vec<T> towards(Vec<T> x, Vec<T> y) const { return fma(y - x, take, x); }
  Vec<T> keep, take;
};

template <class T, bool kMomentum, bool kNesterov>
struct Sgd {
  using V = Vec<T>;
  V lr, momentum;
  explicit LAMINA_INLINE Sgd(const UpdateArgs& a)
      : lr(static_cast<T>(a.lr)), momentum(static_cast<T>(a.momentum)) {}
  LAMINA_INLINE V operator()(V g, V p, const Slots<T>& s) const {
    const V step = g * lr;
    if constexpr (!kMomentum) return p - step;
    const V velocity = s.load(0) * momentum - step;
    s.store(0, velocity);
    return p + (kNesterov ? velocity * momentum - step : velocity);
  }
};

template <class T>
void sgd(const UpdateArgs& a, const void* g, void* p, void* const* s, int64_t n) {
  const auto f = !s[0]             ? update<T, Sgd<T, false, false>>
                 : a.nesterov != 0 ? update<T, Sgd<T, true, true>>
                                   : update<T, Sgd<T, true, false>>;
  f(a, g, p, s, n);
}

// Slots v, m, a. Rounding must not make v - a^2 negative.
template <class T, bool kMomentum, bool kCentered>
struct Rmsprop {
  using V = Vec<T>;
  V lr, momentum, epsilon;
  Mean<T> mean;
  explicit LAMINA_INLINE Rmsprop(const UpdateArgs& a)
      : lr(static_cast<T>(a.lr)),
        momentum(static_cast<T>(a.momentum)),
        epsilon(static_cast<T>(a.epsilon)),
        mean(a.rho) {}
  LAMINA_INLINE V operator()(V g, V p, const Slots<T>& s) const {
    V v = mean(s.load(0), g * g);
    s.store(0, v);
    if constexpr (kCentered) {
      const V average = mean(s.load(2), g);
      s.store(2, average);
      v = max(fnma(average, average, v), V(T(0)));
    }
    V step = quotient(g * lr, sqrt(v + epsilon));
    if constexpr (kMomentum) {
      step = fma(s.load(1), momentum, step);
      s.store(1, step);
    }
    return p - step;
  }
};

template <class T>
void rmsprop(const UpdateArgs& a, const void* g, void* p, void* const* s, int64_t n) {
  const bool momentum = s[1], centered = s[2];
  const auto f = centered ? momentum ? update<T, Rmsprop<T, true, true>> : update<T, Rmsprop<T, false, true>>
                 : momentum ? update<T, Rmsprop<T, true, false>>
                            : update<T, Rmsprop<T, false, false>>;
  f(a, g, p, s, n);
}

template <class T>
struct Adagrad {
  using V = Vec<T>;
  V lr, epsilon;
  explicit LAMINA_INLINE Adagrad(const UpdateArgs& a)
      : lr(static_cast<T>(a.lr)), epsilon(static_cast<T>(a.epsilon)) {}
  LAMINA_INLINE V operator()(V g, V p, const Slots<T>& s) const {
    const V sum = fma(g, g, s.load(0));
    s.store(0, sum);
    return p - quotient(g * lr, sqrt(sum + epsilon));
  }
};

template <class T>
struct Adadelta {
  using V = Vec<T>;
  V lr, epsilon;
  Mean<T> mean;
  explicit LAMINA_INLINE Adadelta(const UpdateArgs& a)
      : lr(static_cast<T>(a.lr)), epsilon(static_cast<T>(a.epsilon)), mean(a.rho) {}
  LAMINA_INLINE V operator()(V g, V p, const Slots<T>& s) const {
    const V v = mean(s.load(0), g * g), x = s.load(1);
    const V step = quotient(sqrt(x + epsilon) * g, sqrt(v + epsilon));
    s.store(0, v);
    s.store(1, mean(x, step * step));
    return fnma(step, lr, p);
  }
};

// m and v of adam and its kin, in slots 0 and 1.
template <class T>
struct Moments {
  Mean<T> mean_m, mean_v;
  explicit LAMINA_INLINE Moments(const UpdateArgs& a) : mean_m(a.beta_1), mean_v(a.beta_2) {}
  LAMINA_INLINE Vec<T> next_m(Vec<T> g, const Slots<T>& s) const {
    const Vec<T> m = mean_m.towards(s.load(0), g);
    s.store(0, m);
    return m;
  }
  LAMINA_INLINE Vec<T> next_v(Vec<T> g, const Slots<T>& s) const {
    const Vec<T> v = mean_v.towards(s.load(1), g * g);
    s.store(1, v);
    return v;
  }
};

template <class T, bool kAmsgrad>
struct Adam {
  using V = Vec<T>;
  V lr, epsilon;
  Moments<T> moments;
  explicit LAMINA_INLINE Adam(const UpdateArgs& a)
      : lr(static_cast<T>(a.lr)), epsilon(static_cast<T>(a.epsilon)), moments(a) {}
  LAMINA_INLINE V operator()(V g, V p, const Slots<T>& s) const {
    const V m = moments.next_m(g, s);
    V v = moments.next_v(g, s);
    if constexpr (kAmsgrad) {
      v = max(s.load(2), v);
      s.store(2, v);
    }
    return p - quotient(m * lr, sqrt(v) + epsilon);
  }
};

template <class T>
void adam(const UpdateArgs& a, const void* g, void* p, void* const* s, int64_t n) {
  (s[2] ? update<T, Adam<T, true>> : update<T, Adam<T, false>>)(a, g, p, s, n);
}

template <class T>
struct Adamax {
  using V = Vec<T>;
  V lr, epsilon, beta_2;
  Moments<T> moments;
  explicit LAMINA_INLINE Adamax(const UpdateArgs& a)
      : lr(static_cast<T>(a.lr)),
        epsilon(static_cast<T>(a.epsilon)),
        beta_2(static_cast<T>(a.beta_2)),
        moments(a) {}
  LAMINA_INLINE V operator()(V g, V p, const Slots<T>& s) const {
    const V m = moments.next_m(g, s), u = max(s.load(1) * beta_2, abs(g));
    s.store(1, u);
    return p - quotient(m * lr, u + epsilon);
  }
};

template <class T>
struct Nadam {
  using V = Vec<T>;
  V m_scale, v_scale, g_scale, epsilon;
  Moments<T> moments;
  explicit LAMINA_INLINE Nadam(const UpdateArgs& a)
      : m_scale(static_cast<T>(a.m_scale)),
        v_scale(static_cast<T>(a.v_scale)),
        g_scale(static_cast<T>(a.g_scale)),
        epsilon(static_cast<T>(a.epsilon)),
        moments(a) {}
  LAMINA_INLINE V operator()(V g, V p, const Slots<T>& s) const {
    const V m = moments.next_m(g, s), v = moments.next_v(g, s);
    return p - quotient(fma(m, m_scale, g * g_scale), sqrt(v * v_scale) + epsilon);
  }
};

template <class T>
struct Lion {
  using V = Vec<T>;
  V lr;
  Mean<T> mean_1, mean_2;
  explicit LAMINA_INLINE Lion(const UpdateArgs& a)
      : lr(static_cast<T>(a.lr)), mean_1(a.beta_1), mean_2(a.beta_2) {}
  LAMINA_INLINE V operator()(V g, V p, const Slots<T>& s) const {
    const V m = s.load(0), direction = mean_1(m, g);
    s.store(0, mean_2(m, g));
    return p - select(direction > T(0), lr, select(direction < T(0), -lr, direction));  // 0 and NaN stay
  }
};

// x^k for x >= 0 and k >= 0; kRoot: k = 1/2.
template <class T, bool kRoot>
struct Power {
  Vec<T> k;
  LAMINA_INLINE Vec<T> operator()(Vec<T> x) const {
    if constexpr (kRoot) return sqrt(x);
    const Vec<T> power = select(x > T(0), exp(log(x) * k), Vec<T>(T(0)));
    return select(k == T(0), Vec<T>(T(1)), power);
  }
};

// Where n, l2 and beta are 0 there is nothing to solve for: the parameter stays.
template <class T, bool kRoot>
struct Ftrl {
  using V = Vec<T>;
  V inverse_lr, l1, shrinkage, rest;
  Power<T, kRoot> power;
  explicit LAMINA_INLINE Ftrl(const UpdateArgs& a)
      : inverse_lr(static_cast<T>(1 / a.lr)),
        l1(static_cast<T>(a.l1_regularization_strength)),
        shrinkage(static_cast<T>(2 * a.l2_shrinkage_regularization_strength)),
        rest(static_cast<T>(a.rest)),
        power{static_cast<T>(-a.learning_rate_power)} {}
  LAMINA_INLINE V operator()(V g, V p, const Slots<T>& s) const {
    const V before = s.load(0), after = fma(g, g, before), root = power(after);
    const V z = s.load(1) + (fma(p, shrinkage, g) - (root - power(before)) * inverse_lr * p);
    s.store(0, after);
    s.store(1, z);
    const V divisor = fma(root, inverse_lr, rest);
    const Mask<T> none = divisor == T(0);
    return select(none, p, quotient(clamp(z, -l1, l1) - z, select(none, V(T(1)), divisor)));
  }
};

template <class T>
void ftrl(const UpdateArgs& a, const void* g, void* p, void* const* s, int64_t n) {
  (a.learning_rate_power == -0.5 ? update<T, Ftrl<T, true>> : update<T, Ftrl<T, false>>)(a, g, p, s, n);
}

// d of lamb; the rule finds m and v as measure_lamb left them.
template <class T>
struct Lamb {
  using V = Vec<T>;
  V lr, m_scale, v_scale, epsilon;
  Moments<T> moments;
  explicit LAMINA_INLINE Lamb(const UpdateArgs& a)
      : lr(static_cast<T>(a.lr)),
        m_scale(static_cast<T>(a.m_scale)),
        v_scale(static_cast<T>(a.v_scale)),
        epsilon(static_cast<T>(a.epsilon)),
        moments(a) {}
  LAMINA_INLINE V direction(V m, V v) const { return quotient(m * m_scale, sqrt(v * v_scale) + epsilon); }
  LAMINA_INLINE V measured(V g, const Slots<T>& s) const {
    const V m = moments.next_m(g, s);
    return direction(m, moments.next_v(g, s));
  }
  LAMINA_INLINE V operator()(V, V p, const Slots<T>& s) const {
    return fnma(direction(s.load(0), s.load(1)), lr, p);
  }
};

// The same of adafactor, v in slot 0. A product of tiny row and column means may vanish where g is 0.
template <class T>
struct Adafactor {
  using V = Vec<T>;
  V lr, epsilon;
  Mean<T> mean;
  bool factored;
  explicit LAMINA_INLINE Adafactor(const UpdateArgs& a)
      : lr(static_cast<T>(a.lr)), epsilon(static_cast<T>(a.epsilon)), mean(a.beta_2), factored(a.factored) {}
  LAMINA_INLINE V measured(V g, const Slots<T>& s) const {
    V v = s.load(0);
    if (!factored) s.store(0, v = mean(v, fma(g, g, epsilon)));
    return direction(g, v);
  }
  static LAMINA_INLINE V direction(V g, V v) { return quotient(g, sqrt(max(v, V(T(1e-37))))); }
  LAMINA_INLINE V operator()(V g, V p, const Slots<T>& s) const {
    return fnma(direction(g, s.load(0)), lr, p);
  }
};

}  // namespace
}  // namespace lamina
