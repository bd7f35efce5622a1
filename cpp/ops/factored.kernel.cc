// Row and column means of squared gradients, see factored.h.
#include "ops/factored.h"

#include "ops/optimizer_loop.h"

namespace lamina {
namespace {

template <class T>
void rows(const UpdateArgs& a, const void* g_, int64_t rows, int64_t C, void* r_, void* sums_) {
  using V = Vec<T>;
  const Scalars<T, false> scalars(a);
  const V epsilon(static_cast<T>(a.epsilon));
  T *r = static_cast<T*>(r_), *sums = static_cast<T*>(sums_);
  for (int64_t row = 0; row < rows; ++row) {
    const T* g = static_cast<const T*>(g_) + row * C;
    V total;
    each_vector<T>(
        C, [&](int64_t i, int k) __attribute__((always_inline)) {
          const V x = scalars.gradient(g + i, k), s = fma(x, x, epsilon);
          total = total + (k < V::kLanes ? select(Mask<T>::first(k), s, V(T(0))) : s);
          (row == 0 ? s : V::load(sums + i, k) + s).store(sums + i, k);
        });
    const double mean = static_cast<double>(reduce_add(total)) / static_cast<double>(C);
    r[row] = static_cast<T>(a.beta_2 * static_cast<double>(r[row]) + (1 - a.beta_2) * mean);
  }
}

template <class T>
double columns(const UpdateArgs& a, const void* sums_, int64_t blocks, int64_t R, int64_t C, const void* r_,
               void* c_) {
  using V = Vec<T>;
  const T *sums = static_cast<const T*>(sums_), *r = static_cast<const T*>(r_);
  T* c = static_cast<T*>(c_);
  const V keep(static_cast<T>(a.beta_2)), take(static_cast<T>((1 - a.beta_2) / static_cast<double>(R)));
  each_vector<T>(
      C, [&](int64_t i, int k) __attribute__((always_inline)) {
        V sum;
        for (int64_t block = 0; block < blocks; ++block) sum = sum + V::load(sums + block * C + i, k);
        fma(V::load(c + i, k), keep, sum * take).store(c + i, k);
      });
  double total = 0;
  for (int64_t i = 0; i < R; ++i) total += static_cast<double>(r[i]);
  return total / static_cast<double>(R);
}

template <class T>
void outer(const void* r_, double mean_r, const void* c_, int64_t rows, int64_t C, void* v_) {
  using V = Vec<T>;
  const T *r = static_cast<const T*>(r_), *c = static_cast<const T*>(c_);
  for (int64_t row = 0; row < rows; ++row) {
    T* v = static_cast<T*>(v_) + row * C;
    const V factor(static_cast<T>(static_cast<double>(r[row]) / mean_r));
    each_vector<T>(
        C, [&](int64_t i, int k)
               __attribute__((always_inline)) { (V::load(c + i, k) * factor).store(v + i, k); });
  }
}

}  // namespace

namespace LAMINA_ROW {
extern const FactoredKernels factored_kernels;
const FactoredKernels factored_kernels = {{rows<float>, columns<float>, outer<float>},
                                          {rows<double>, columns<double>, outer<double>}};
}  // namespace LAMINA_ROW
}  // namespace lamina
