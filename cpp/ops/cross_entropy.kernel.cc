// Per row: x [n], target t [n] or class c, dy the gradient of the row's loss.
#include "ops/cross_entropy.h"

#include "ops/fold.h"
#include "simd/math.h"

namespace lamina {
namespace {

constexpr double kEpsilon = 1e-7;

// Sum over a row of f(i, k): k elements from i, any value past k.
template <class T, class F>
LAMINA_INLINE T row_sum(int64_t n, F f) {
  return reduce_add(fold<T, AddFold>(
      n, [&](int64_t i, int k) __attribute__((always_inline)) { return keep_first(f(i, k), k, Vec<T>(0)); }));
}
template <class T>
LAMINA_INLINE T row_sum(const T* x, int64_t n) {
  return reduce_add(fold<T, AddFold>(
      n, [x](int64_t i, int k) __attribute__((always_inline)) { return Vec<T>::load(x + i, k); }));
}
// NaN aside, which comes back from the row's sum.
template <class T>
LAMINA_INLINE T row_max(const T* x, int64_t n) {
  return reduce_max(fold<T, PeakFold>(
      n, [x](int64_t i, int k) __attribute__((always_inline)) {
        return keep_first(Vec<T>::load(x + i, k), k, Vec<T>(kLowest<T>));
      }));
}
template <class T>
LAMINA_INLINE T row_exp_sum(const T* x, T m, int64_t n) {
  return row_sum<T>(
      n, [=](int64_t i, int k)
             __attribute__((always_inline)) { return exp(Vec<T>::load(x + i, k) - Vec<T>(m)); });
}
// e[i] = exp(x[i] - m); their sum.
template <class T>
LAMINA_INLINE T row_exp(const T* x, T m, int64_t n, T* e) {
  return row_sum<T>(
      n, [=](int64_t i, int k) __attribute__((always_inline)) {
        const Vec<T> v = exp(Vec<T>::load(x + i, k) - Vec<T>(m));
        v.store(e + i, k);
        return v;
      });
}
template <class T>
LAMINA_INLINE T log_of(T x) {
  return log(Vec<T>(x))[0];
}
template <class T, class F>
LAMINA_INLINE void each_vector(int64_t n, F f) {
  for (int64_t i = 0; i < n; i += Vec<T>::kLanes) f(i, lanes_at<T>(n, i));
}

template <class T>
LAMINA_INLINE Vec<T> clip(Vec<T> p) {
  return clamp(p, Vec<T>(T(kEpsilon)), Vec<T>(T(1 - kEpsilon)));
}
// v where p is not clipped, else 0.
template <class T>
LAMINA_INLINE Vec<T> unless_clipped(Vec<T> p, Vec<T> v) {
  return select((p < Vec<T>(T(kEpsilon))) | (p > Vec<T>(T(1 - kEpsilon))), Vec<T>(0), v);
}

// A row's loss as kSign * log(argument) + offset, so that a vector of rows shares one logarithm.
template <class T>
struct LogTerm {
  T argument, offset;
};

// From logits: log s + m - x[c]; dx = dy (exp(x - m) / s - onehot).
template <class T>
struct SparseLogits {
  static constexpr T kSign = 1;
  static LogTerm<T> loss(const T* x, int64_t c, int64_t n) {
    const T m = row_max(x, n);
    return {row_exp_sum(x, m, n), m - x[c]};
  }
  static void grad(const T* x, int64_t c, T dy, int64_t n, T* dx) {
    const Vec<T> by(dy / row_exp(x, row_max(x, n), n, dx));
    each_vector<T>(n, [=](int64_t i, int k) { (Vec<T>::load(dx + i, k) * by).store(dx + i, k); });
    dx[c] -= dy;
  }
};

// From probabilities: log s - log x[c]; dx = dy (1 / s - onehot / x[c]).
template <class T>
struct SparseProbabilities {
  static constexpr T kSign = -1;
  static LogTerm<T> loss(const T* x, int64_t c, int64_t n) {
    return {clip(Vec<T>(x[c] / row_sum(x, n)))[0], 0};
  }
  static void grad(const T* x, int64_t c, T dy, int64_t n, T* dx) {
    const T s = row_sum(x, n);
    const Vec<T> share = unless_clipped(Vec<T>(x[c] / s), Vec<T>(dy / s));
    each_vector<T>(n, [=](int64_t i, int k) { share.store(dx + i, k); });
    dx[c] += unless_clipped(Vec<T>(x[c] / s), Vec<T>(-dy / x[c]))[0];
  }
};

// sum t (log s + m - x); dx = dy (exp(x - m) / s sum(t) - t). Classes of weight 0 do not count, be x
// infinite.
template <class T>
struct CategoricalLogits {
  static T loss(const T* x, const T* t, int64_t n) {
    const T m = row_max(x, n), log_s = log_of(row_exp_sum(x, m, n));
    return row_sum<T>(
        n, [=](int64_t i, int k) __attribute__((always_inline)) {
          const Vec<T> w = Vec<T>::load(t + i, k);
          return select(w == Vec<T>(0), w, w * (Vec<T>(log_s) - (Vec<T>::load(x + i, k) - Vec<T>(m))));
        });
  }
  static void grad(const T* x, const T* t, T dy, int64_t n, T* dx) {
    const Vec<T> by(row_sum(t, n) / row_exp(x, row_max(x, n), n, dx)), d(dy);
    each_vector<T>(n, [=](int64_t i, int k) {
      (d * (Vec<T>::load(dx + i, k) * by - Vec<T>::load(t + i, k))).store(dx + i, k);
    });
  }
};

// p = x / s: -sum t log p; with g = -t / p, dx = dy (g - sum(g p)) / s.
template <class T>
struct CategoricalProbabilities {
  static T loss(const T* x, const T* t, int64_t n) {
    const Vec<T> s(row_sum(x, n));
    return -row_sum<T>(
        n, [=](int64_t i, int k) __attribute__((always_inline)) {
          return Vec<T>::load(t + i, k) * log(clip(Vec<T>::load(x + i, k) / s));
        });
  }
  static void grad(const T* x, const T* t, T dy, int64_t n, T* dx) {
    const T sum = row_sum(x, n);
    const Vec<T> s(sum);
    const Vec<T> mean(row_sum<T>(
        n, [=](int64_t i, int k) __attribute__((always_inline)) {
          const Vec<T> p = Vec<T>::load(x + i, k) / s;
          const Vec<T> g = unless_clipped(p, -(Vec<T>::load(t + i, k) / p));
          g.store(dx + i, k);
          return g * p;
        }));
    const Vec<T> by(dy / sum);
    each_vector<T>(n, [=](int64_t i, int k) { ((Vec<T>::load(dx + i, k) - mean) * by).store(dx + i, k); });
  }
};

template <class T, class Loss>
void sparse(const void* x_, const void* classes_, int64_t rows, int64_t n, void* loss_) {
  const T* x = static_cast<const T*>(x_);
  const int64_t* classes = static_cast<const int64_t*>(classes_);
  T* loss = static_cast<T*>(loss_);
  each_vector<T>(rows, [=](int64_t r, int k) {
    T argument[Vec<T>::kLanes], offset[Vec<T>::kLanes];
    for (int i = 0; i < k; ++i) {
      const int64_t c = classes[r + i];
      const LogTerm<T> term = c < 0 ? LogTerm<T>{1, 0} : Loss::loss(x + (r + i) * n, c, n);
      argument[i] = term.argument;
      offset[i] = term.offset;
    }
    const Vec<T> y = Vec<T>(Loss::kSign) * log(Vec<T>::load(argument, k)) + Vec<T>::load(offset, k);
    y.store(loss + r, k);
  });
}
template <class T, class Loss>
void sparse_grad(const void* x_, const void* classes_, const void* dy, int64_t rows, int64_t n, void* dx_) {
  const T* x = static_cast<const T*>(x_);
  const int64_t* classes = static_cast<const int64_t*>(classes_);
  T* dx = static_cast<T*>(dx_);
  for (int64_t r = 0; r < rows; ++r) {
    if (classes[r] < 0) {
      each_vector<T>(n, [=](int64_t i, int k) { Vec<T>(0).store(dx + r * n + i, k); });
    } else {
      Loss::grad(x + r * n, classes[r], static_cast<const T*>(dy)[r], n, dx + r * n);
    }
  }
}

template <class T, class Loss>
void categorical(const void* x, const void* t, int64_t rows, int64_t n, void* loss) {
  for (int64_t r = 0; r < rows; ++r) {
    static_cast<T*>(loss)[r] =
        Loss::loss(static_cast<const T*>(x) + r * n, static_cast<const T*>(t) + r * n, n);
  }
}
template <class T, class Loss>
void categorical_grad(const void* x, const void* t, const void* dy, int64_t rows, int64_t n, void* dx) {
  for (int64_t r = 0; r < rows; ++r) {
    Loss::grad(static_cast<const T*>(x) + r * n, static_cast<const T*>(t) + r * n,
               static_cast<const T*>(dy)[r], n, static_cast<T*>(dx) + r * n);
  }
}

// max(x, 0) - x t + log(1 + exp(-|x|)) from logits.
template <class T, bool kLogits>
void binary(const void* x_, const void* t_, int64_t rows, int64_t n, void* loss) {
  each_vector<T>(rows * n, [=](int64_t i, int k) {
    const Vec<T> x = Vec<T>::load(static_cast<const T*>(x_) + i, k),
                 t = Vec<T>::load(static_cast<const T*>(t_) + i, k);
    const Vec<T> one(1), p = clip(x);
    const Vec<T> y =
        kLogits ? max(x, Vec<T>(0)) - x * t + log1p(exp(-abs(x))) : -(t * log(p) + (one - t) * log(one - p));
    y.store(static_cast<T*>(loss) + i, k);
  });
}
template <class T, bool kLogits>
void binary_grad(const void* x_, const void* t_, const void* dy_, int64_t rows, int64_t n, void* dx) {
  each_vector<T>(rows * n, [=](int64_t i, int k) {
    const Vec<T> x = Vec<T>::load(static_cast<const T*>(x_) + i, k),
                 t = Vec<T>::load(static_cast<const T*>(t_) + i, k);
    const Vec<T> dy = Vec<T>::load(static_cast<const T*>(dy_) + i, k);
    const Vec<T> d = kLogits ? sigmoid(x) - t : unless_clipped(x, (x - t) / (x * (Vec<T>(1) - x)));
    (dy * d).store(static_cast<T*>(dx) + i, k);
  });
}

template <class T, class Loss>
constexpr CrossEntropyKernels::Pair kSparse = {sparse<T, Loss>, sparse_grad<T, Loss>};
template <class T, class Loss>
constexpr CrossEntropyKernels::Pair kCategorical = {categorical<T, Loss>, categorical_grad<T, Loss>};
template <class T, bool kLogits>
constexpr CrossEntropyKernels::Pair kBinary = {binary<T, kLogits>, binary_grad<T, kLogits>};

}  // namespace

namespace LAMINA_ROW {
extern const CrossEntropyKernels cross_entropy_kernels;
const CrossEntropyKernels cross_entropy_kernels = {
    {{kSparse<float, SparseProbabilities<float>>, kSparse<float, SparseLogits<float>>},
     {kCategorical<float, CategoricalProbabilities<float>>, kCategorical<float, CategoricalLogits<float>>},
     {kBinary<float, false>, kBinary<float, true>}},
    {{kSparse<double, SparseProbabilities<double>>, kSparse<double, SparseLogits<double>>},
     {kCategorical<double, CategoricalProbabilities<double>>,
      kCategorical<double, CategoricalLogits<double>>},
     {kBinary<double, false>, kBinary<double, true>}},
};
}  // namespace LAMINA_ROW
}  // namespace lamina
