// What a step of an optimiser runs, see optimizer.h.
#include "ops/optimizer_update.h"

namespace lamina {
namespace {

template <class T, class Rule>
void measure(const UpdateArgs& a, const void* g_, void* p_, void* const* s_, int64_t n, double* sums) {
  using V = Vec<T>;
  const Rule rule(a);
  V of_p, of_d;
  each_update<T, false>(
      a, g_, p_, s_, n, [&](V g, V p, const Slots<T>& s, T*, int k) __attribute__((always_inline)) {
        V d = rule.measured(g, s);
        if (k < V::kLanes) d = select(Mask<T>::first(k), d, V(T(0)));
        of_p = fma(p, p, of_p);
        of_d = fma(d, d, of_d);
      });
  sums[0] += reduce_add(of_p);
  sums[1] += reduce_add(of_d);
}

template <class T>
void gather(const UpdateArgs& a, const void* g_, void* accumulator, int64_t n) {
  using V = Vec<T>;
  const T* g = static_cast<const T*>(g_);
  T* sum = static_cast<T*>(accumulator);
  const V scale(static_cast<T>(a.scale)), factor(static_cast<T>(a.gathered));
  each_vector<T>(
      n, [&](int64_t i, int k) __attribute__((always_inline)) {
        (fma(V::load(g + i, k), scale, V::load(sum + i, k)) * factor).store(sum + i, k);
      });
}

template <class T>
void average(const UpdateArgs& a, void* p_, void* average_, int64_t n) {
  using V = Vec<T>;
  T *p = static_cast<T*>(p_), *average = static_cast<T*>(average_);
  const Mean<T> mean(a.ema_momentum);
  const bool overwrite = a.overwrite != 0;
  each_vector<T>(
      n, [&](int64_t i, int k) __attribute__((always_inline)) {
        const V next = mean(V::load(average + i, k), V::load(p + i, k));
        next.store(average + i, k);
        if (overwrite) next.store(p + i, k);
      });
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

template <class T>
constexpr OptimizerKernels::Table kTable = {
    {sgd<T>, rmsprop<T>, update<T, Adagrad<T>>, update<T, Adadelta<T>>, adam<T>, update<T, Adamax<T>>,
     update<T, Nadam<T>>, update<T, Lion<T>>, ftrl<T>, update<T, Lamb<T>>, update<T, Adafactor<T>>},
    measure<T, Lamb<T>>,
    measure<T, Adafactor<T>>,
    gather<T>,
    average<T>,
    square_sum<T>};

}  // namespace

namespace LAMINA_ROW {
extern const OptimizerKernels optimizer_kernels;
const OptimizerKernels optimizer_kernels = {kTable<float>, kTable<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
