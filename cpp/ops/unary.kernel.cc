// y = f(x) and dx = dy * f'. Each functor says in its grad whether s is x or y (Python saves that one).
#include "ops/unary.h"

#include "ops/gelu.kernel.h"
#include "simd/math.h"
#include "simd/vec.h"

namespace lamina {
namespace {

template <class T>
LAMINA_INLINE Vec<T> sin_lanes(Vec<T> x) {
  T lanes[Vec<T>::kLanes];
  x.store(lanes);
  for (T& v : lanes) v = static_cast<T>(__builtin_sin(v));
  return Vec<T>::load(lanes);
}
template <class T>
LAMINA_INLINE Vec<T> cos_lanes(Vec<T> x) {
  T lanes[Vec<T>::kLanes];
  x.store(lanes);
  for (T& v : lanes) v = static_cast<T>(__builtin_cos(v));
  return Vec<T>::load(lanes);
}

struct abs_op {
  template <class V>
  static V forward(V x, V) {
    return abs(x);
  }
  template <class V>
  static V grad(V dy, V x, V) {
    return select(x > V(0), dy, select(x < V(0), -dy, x * V(0)));  // 0 at 0, NaN at NaN
  }
};
struct ceil_op {
  template <class V>
  static V forward(V x, V) {
    return -floor(-x);
  }
  template <class V>
  static V grad(V, V, V) {
    return V(0);
  }
};
struct cos_op {
  template <class V>
  static V forward(V x, V) {
    return cos_lanes(x);
  }
  template <class V>
  static V grad(V dy, V x, V) {
    return -(dy * sin_lanes(x));
  }
};
struct elu_op {  // s = y: for x <= 0, f' = alpha exp(x) = y + alpha
  template <class V>
  static V forward(V x, V alpha) {
    return select(x > V(0), x, scaled_expm1(x, alpha));
  }
  template <class V>
  static V grad(V dy, V y, V alpha) {
    return select(y > V(0), dy, dy * (y + alpha));
  }
};
struct erf_op {  // f' = 2 / sqrt(pi) exp(-x^2)
  template <class V>
  static V forward(V x, V) {
    return erf(x);
  }
  template <class V>
  static V grad(V dy, V x, V) {
    return dy * (V(1.1283791670955126) * exp(-(x * x)));
  }
};
struct exp_op {  // s = y
  template <class V>
  static V forward(V x, V) {
    return exp(x);
  }
  template <class V>
  static V grad(V dy, V y, V) {
    return dy * y;
  }
};
struct expm1_op {  // s = y
  template <class V>
  static V forward(V x, V) {
    return expm1(x);
  }
  template <class V>
  static V grad(V dy, V y, V) {
    return dy * (y + V(1));
  }
};
struct floor_op {
  template <class V>
  static V forward(V x, V) {
    return floor(x);
  }
  template <class V>
  static V grad(V, V, V) {
    return V(0);
  }
};
struct leaky_relu_op {  // s = x
  template <class V>
  static V forward(V x, V alpha) {
    return select(x > V(0), x, alpha * x);
  }
  template <class V>
  static V grad(V dy, V x, V alpha) {
    return select(x > V(0), dy, alpha * dy);
  }
};
struct log_op {
  template <class V>
  static V forward(V x, V) {
    return log(x);
  }
  template <class V>
  static V grad(V dy, V x, V) {
    return dy / x;
  }
};
struct log1p_op {
  template <class V>
  static V forward(V x, V) {
    return log1p(x);
  }
  template <class V>
  static V grad(V dy, V x, V) {
    return dy / (x + V(1));
  }
};
struct negative_op {
  template <class V>
  static V forward(V x, V) {
    return -x;
  }
  template <class V>
  static V grad(V dy, V, V) {
    return -dy;
  }
};
struct reciprocal_op {  // s = y
  template <class V>
  static V forward(V x, V) {
    return V(1) / x;
  }
  template <class V>
  static V grad(V dy, V y, V) {
    return -(dy * (y * y));
  }
};
struct relu_op {  // s = y; NaN passes through, as max(x, 0) does in NumPy
  template <class V>
  static V forward(V x, V) {
    return select(x <= V(0), V(0), x);
  }
  template <class V>
  static V grad(V dy, V y, V) {
    return select(y > V(0), dy, V(0));
  }
};
struct round_op {  // half to even
  template <class V>
  static V forward(V x, V) {
    return round_even(x);
  }
  template <class V>
  static V grad(V, V, V) {
    return V(0);
  }
};
struct rsqrt_op {  // s = y: f' = -y^3 / 2
  template <class V>
  static V forward(V x, V) {
    return V(1) / sqrt(x);
  }
  template <class V>
  static V grad(V dy, V y, V) {
    return V(-0.5) * dy * (y * y * y);
  }
};
struct selu_op {  // s = y: for x <= 0, f' = scale alpha exp(x) = y + scale alpha
  static constexpr double kScale = 1.0507009873554805, kScaleAlpha = 1.0507009873554805 * 1.6732632423543772;
  template <class V>
  static V forward(V x, V) {
    // Large x in two terms: V(kScale) is above kScale, and its product with x infinite where the true one is
    // not.
    V scaled = select(x > V(1), fma(V(kScale - 1), x, x), V(kScale) * x);
    return select(x > V(0), scaled, scaled_expm1(x, V(kScaleAlpha)));
  }
  template <class V>
  static V grad(V dy, V y, V) {
    return select(y > V(0), V(kScale) * dy, dy * (y + V(kScaleAlpha)));
  }
};
struct sigmoid_op {  // s = y
  template <class V>
  static V forward(V x, V) {
    return sigmoid(x);
  }
  template <class V>
  static V grad(V dy, V y, V) {
    return dy * (y * (V(1) - y));
  }
};
struct sign_op {
  template <class V>
  static V forward(V x, V) {
    return select(x > V(0), V(1), select(x < V(0), V(-1), x * V(0)));
  }
  template <class V>
  static V grad(V, V, V) {
    return V(0);
  }
};
struct sin_op {
  template <class V>
  static V forward(V x, V) {
    return sin_lanes(x);
  }
  template <class V>
  static V grad(V dy, V x, V) {
    return dy * cos_lanes(x);
  }
};
struct softplus_op {  // log(1 + exp(x)), s = x
  template <class V>
  static V forward(V x, V) {
    return softplus(x);
  }
  template <class V>
  static V grad(V dy, V x, V) {
    return dy * sigmoid(x);
  }
};
struct sqrt_op {  // s = y
  template <class V>
  static V forward(V x, V) {
    return sqrt(x);
  }
  template <class V>
  static V grad(V dy, V y, V) {
    return V(0.5) * dy / y;
  }
};
struct square_op {
  template <class V>
  static V forward(V x, V) {
    return x * x;
  }
  template <class V>
  static V grad(V dy, V x, V) {
    return V(2) * dy * x;
  }
};
struct tanh_op {  // s = y
  template <class V>
  static V forward(V x, V) {
    return tanh(x);
  }
  template <class V>
  static V grad(V dy, V y, V) {
    return dy * fnma(y, y, V(1));
  }
};

// Asks for the lines of n elements that come kFlatAhead after element i.
template <class T>
LAMINA_INLINE void ask(const T* p, int64_t i, int n) {
  for (int k = 0; k < n; k += Vec<T>::kLanes) prefetch_line(p + kFlatAhead<T>, i + k);
}

template <class Op, class T>
void loop(const void* x_, int64_t x_step, void* y_, int64_t n, double alpha_) {
  using V = Vec<T>;
  const T* x = static_cast<const T*>(x_);
  T* y = static_cast<T*>(y_);
  const V alpha(static_cast<T>(alpha_));
  constexpr int kLanes = V::kLanes;
  int64_t i = 0;
  if (x_step == 1) {
    // Two chains of dependent operations side by side.
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
      ask(x, i, 2 * kLanes), ask(y, i, 2 * kLanes);
      const V first = V::load(x + i), second = V::load(x + i + kLanes);
      Op::forward(first, alpha).store(y + i);
      Op::forward(second, alpha).store(y + i + kLanes);
    }
    for (; i + kLanes <= n; i += kLanes) Op::forward(V::load(x + i), alpha).store(y + i);
    if (i < n) Op::forward(V::load(x + i, n - i), alpha).store(y + i, n - i);
    return;
  }
  for (; i < n; i += kLanes) {
    const int m = n - i < kLanes ? n - i : kLanes;
    Op::forward(V::load_strided(x + i * x_step, x_step, m), alpha).store(y + i, m);
  }
}

template <class Op, class T>
void grad_loop(const void* dy_, int64_t dy_step, const void* s_, int64_t s_step, void* dx_, int64_t n,
               double alpha_) {
  using V = Vec<T>;
  const T *dy = static_cast<const T*>(dy_), *s = static_cast<const T*>(s_);
  T* dx = static_cast<T*>(dx_);
  const V alpha(static_cast<T>(alpha_));
  constexpr int kLanes = V::kLanes;
  int64_t i = 0;
  if (dy_step == 1 && s_step == 1) {
    for (; i + kLanes <= n; i += kLanes) {
      prefetch_line(dy + kFlatAhead<T>, i), prefetch_line(s + kFlatAhead<T>, i),
          prefetch_line(dx + kFlatAhead<T>, i);
      Op::grad(V::load(dy + i), V::load(s + i), alpha).store(dx + i);
    }
    if (i < n) Op::grad(V::load(dy + i, n - i), V::load(s + i, n - i), alpha).store(dx + i, n - i);
    return;
  }
  for (; i < n; i += kLanes) {
    const int m = n - i < kLanes ? n - i : kLanes;
    Op::grad(V::load_strided(dy + i * dy_step, dy_step, m), V::load_strided(s + i * s_step, s_step, m), alpha)
        .store(dx + i, m);
  }
}

}  // namespace

namespace LAMINA_ROW {
extern const UnaryKernels unary_kernels;
const UnaryKernels unary_kernels = {
#define LAMINA_UNARY(name) loop<name##_op, float>,
    {
#include "ops/unary.def"
    },
#undef LAMINA_UNARY
#define LAMINA_UNARY(name) loop<name##_op, double>,
    {
#include "ops/unary.def"
    },
#undef LAMINA_UNARY
#define LAMINA_UNARY(name) grad_loop<name##_op, float>,
    {
#include "ops/unary.def"
    },
#undef LAMINA_UNARY
#define LAMINA_UNARY(name) grad_loop<name##_op, double>,
    {
#include "ops/unary.def"
    },
#undef LAMINA_UNARY
};
}  // namespace LAMINA_ROW
}  // namespace lamina
