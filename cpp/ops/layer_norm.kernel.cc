// Rows go through four at a time while four fit the caches: their sums are independent chains, and gamma,
// beta and the sums over rows are touched once for the four. Each row is read from memory once, and from the
// cache by the later sweeps.
#include "ops/layer_norm.h"

#include "ops/fold.h"

namespace lamina {
namespace {

constexpr int kTogether = 4;            // rows
constexpr int64_t kCached = 128 << 10;  // bytes of them
constexpr int64_t kChain = 64;          // vectors added up in one lane before they go to float64

// total[s] = sum over c of what f(acc, c, n) adds to acc[s]: lanes of kChain vectors, those in float64.
template <class T, int kSums, class F>
LAMINA_INLINE void row_sums(int64_t N, double* total, F f) {
  using V = Vec<T>;
  for (int s = 0; s < kSums; ++s) total[s] = 0;
  for (int64_t begin = 0; begin < N; begin += kChain * V::kLanes) {
    V acc[kSums];
    along<T>(
        begin, simd_min(N, begin + kChain * V::kLanes), [&](int64_t c, int n) __attribute__((always_inline)) {
          f(acc, c, n);
        });
    for (int s = 0; s < kSums; ++s) total[s] += static_cast<double>(reduce_add(acc[s]));
  }
}

LAMINA_INLINE double root(double x) { return sqrt(VecD(x))[0]; }

template <class T, bool kRms, int R>
LAMINA_INLINE void forward_rows(const T* x, const T* gamma, const T* beta, int64_t N, double epsilon, T* y,
                                T* mean_out, T* rstd_out) {
  using V = Vec<T>;
  const double count = static_cast<double>(N);
  double total[R];
  V mean[R], rstd[R];
  if constexpr (!kRms) {
    row_sums<T, R>(
        N, total, [&](V * acc, int64_t c, int n) __attribute__((always_inline)) {
          for (int r = 0; r < R; ++r) acc[r] += V::load(x + r * N + c, n);
        });
    for (int r = 0; r < R; ++r) mean[r] = V(mean_out[r] = static_cast<T>(total[r] / count));
  }
  row_sums<T, R>(
      N, total, [&](V * acc, int64_t c, int n) __attribute__((always_inline)) {
        for (int r = 0; r < R; ++r) {
          prefetch_line(x + (R + r) * N, c);  // the rows after these, beside what is computed
          prefetch_line(y + r * N, c);
          const V d =
              kRms ? V::load(x + r * N + c, n) : keep_first(V::load(x + r * N + c, n) - mean[r], n, V(0));
          acc[r] = fma(d, d, acc[r]);
        }
      });
  for (int r = 0; r < R; ++r) rstd[r] = V(rstd_out[r] = static_cast<T>(1 / root(total[r] / count + epsilon)));
  along<T>(
      N, [&](int64_t c, int n) __attribute__((always_inline)) {
        const V scale = gamma ? V::load(gamma + c, n) : V(1), shift = beta ? V::load(beta + c, n) : V(0);
        for (int r = 0; r < R; ++r) {
          const V v = V::load(x + r * N + c, n);
          fma((kRms ? v : v - mean[r]) * rstd[r], scale, shift).store(y + r * N + c, n);
        }
      });
}

template <class T, bool kRms>
void forward(const void* x_, const void* gamma_, const void* beta_, int64_t rows, int64_t N, double epsilon,
             void* y_, void* mean_, void* rstd_) {
  const T *x = static_cast<const T*>(x_), *gamma = static_cast<const T*>(gamma_),
          *beta = static_cast<const T*>(beta_);
  T *y = static_cast<T*>(y_), *mean = static_cast<T*>(mean_), *rstd = static_cast<T*>(rstd_);
  int64_t r = 0;
  if (kTogether * N * static_cast<int64_t>(sizeof(T)) <= kCached) {
    for (; r + kTogether <= rows; r += kTogether) {
      forward_rows<T, kRms, kTogether>(x + r * N, gamma, beta, N, epsilon, y + r * N, mean + r, rstd + r);
    }
  }
  for (; r < rows; ++r) {
    forward_rows<T, kRms, 1>(x + r * N, gamma, beta, N, epsilon, y + r * N, mean + r, rstd + r);
  }
}

template <class T, bool kRms, int R>
LAMINA_INLINE void grad_rows(const T* dy, const T* x, const T* gamma, const T* mean_in, const T* rstd_in,
                             const T* residual, int64_t N, T* dx, T* dgamma, T* dbeta) {
  using V = Vec<T>;
  constexpr int kSums = kRms ? R : 2 * R;  // of g (x - mean), then of g
  V mean[R];
  if constexpr (!kRms) {
    for (int r = 0; r < R; ++r) mean[r] = V(mean_in[r]);
  }
  double total[kSums];
  row_sums<T, kSums>(
      N, total, [&](V * acc, int64_t c, int n) __attribute__((always_inline)) {
        const V scale = gamma ? V::load(gamma + c, n) : V(1);
        for (int r = 0; r < R; ++r) {
          prefetch_line(dx + r * N, c);
          const V g = V::load(dy + r * N + c, n) * scale, v = V::load(x + r * N + c, n);
          acc[r] = fma(g, kRms ? v : v - mean[r], acc[r]);
          if constexpr (!kRms) acc[R + r] += g;
        }
      });
  // dx = rstd g - (b + (x - mean) k)
  V rstd[R], b[R], k[R];
  for (int r = 0; r < R; ++r) {
    const double s = rstd_in[r], count = static_cast<double>(N);
    rstd[r] = V(rstd_in[r]);
    k[r] = V(static_cast<T>(total[r] * s * s * s / count));
    if constexpr (!kRms) b[r] = V(static_cast<T>(total[R + r] * s / count));
  }
  along<T>(
      N, [&](int64_t c, int n) __attribute__((always_inline)) {
        const V scale = gamma ? V::load(gamma + c, n) : V(1);
        V sum_dy_xhat = dgamma ? V::load(dgamma + c, n) : V(0), sum_dy = dbeta ? V::load(dbeta + c, n) : V(0);
        for (int r = 0; r < R; ++r) {
          prefetch_line(dy + (R + r) * N, c), prefetch_line(x + (R + r) * N, c);
          const V d = V::load(dy + r * N + c, n), v = V::load(x + r * N + c, n);
          const V centred = kRms ? v : v - mean[r];
          sum_dy += d;
          sum_dy_xhat = fma(d, centred * rstd[r], sum_dy_xhat);
          const V g = d * scale * rstd[r], of_x = fnma(centred, k[r], kRms ? g : g - b[r]);
          (residual ? of_x + V::load(residual + r * N + c, n) : of_x).store(dx + r * N + c, n);
        }
        if (dgamma) sum_dy_xhat.store(dgamma + c, n);
        if (dbeta) sum_dy.store(dbeta + c, n);
      });
}

template <class T, bool kRms>
void grad(const void* dy_, const void* x_, const void* gamma_, const void* mean_, const void* rstd_,
          const void* residual_, int64_t rows, int64_t N, void* dx_, void* dgamma_, void* dbeta_) {
  const T *dy = static_cast<const T*>(dy_), *x = static_cast<const T*>(x_),
          *gamma = static_cast<const T*>(gamma_), *mean = static_cast<const T*>(mean_),
          *rstd = static_cast<const T*>(rstd_), *residual = static_cast<const T*>(residual_);
  const auto residual_at = [=](int64_t r) { return residual ? residual + r * N : nullptr; };
  T *dx = static_cast<T*>(dx_), *dgamma = static_cast<T*>(dgamma_), *dbeta = static_cast<T*>(dbeta_);
  int64_t r = 0;
  if (2 * kTogether * N * static_cast<int64_t>(sizeof(T)) <= kCached) {
    for (; r + kTogether <= rows; r += kTogether) {
      grad_rows<T, kRms, kTogether>(dy + r * N, x + r * N, gamma, mean + r, rstd + r, residual_at(r), N,
                                    dx + r * N, dgamma, dbeta);
    }
  }
  for (; r < rows; ++r) {
    grad_rows<T, kRms, 1>(dy + r * N, x + r * N, gamma, mean + r, rstd + r, residual_at(r), N, dx + r * N,
                          dgamma, dbeta);
  }
}

template <class T, bool kRms>
constexpr LayerNormKernels::Table kTable = {forward<T, kRms>, grad<T, kRms>};

}  // namespace

namespace LAMINA_ROW {
extern const LayerNormKernels layer_norm_kernels;
const LayerNormKernels layer_norm_kernels = {{kTable<float, false>, kTable<float, true>},
                                             {kTable<double, false>, kTable<double, true>}};
}  // namespace LAMINA_ROW
}  // namespace lamina
