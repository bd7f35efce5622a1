// The elementwise part of a step; what a step is, is in recurrent.h.
#include "ops/recurrent.h"

#include "ops/activation.kernel.h"

namespace lamina {
namespace {

template <class T>
const T* row_of(const void* base, int64_t row, int64_t width) {
  return base ? static_cast<const T*>(base) + row * width : nullptr;
}
template <class T>
T* row_of(void* base, int64_t row, int64_t width) {
  return base ? static_cast<T*>(base) + row * width : nullptr;
}

// body(i, n): n <= kLanes units from i.
template <class T, class Body>
LAMINA_INLINE void for_units(int64_t units, Body body) {
  constexpr int kLanes = Vec<T>::kLanes;
  int64_t i = 0;
  for (; i + kLanes <= units; i += kLanes) body(i, kLanes);
  if (i < units) body(i, static_cast<int>(units - i));
}

template <class T>
void copy_row(const T* from, T* to, int64_t units) {
  for_units<T>(units, [&](int64_t i, int n) { Vec<T>::load(from + i, n).store(to + i, n); });
}

// Asks for the lines at unit i of `parts` neighbours of `units`: of the next row, which is a row's functions
// away. Four runs side by side are more than the machine's own prefetchers see.
template <class T>
LAMINA_INLINE void prefetch_units(const T* next, int parts, int64_t units, int64_t i) {
  for (int k = 0; k < parts; ++k) prefetch_line(next + k * units, i);
}

template <class T>
void rnn_step(const RecurrentStep& s) {
  using V = Vec<T>;
  const int64_t units = s.units;
  with_activation(s.activation, [&](auto f) {
    for (int64_t r = 0; r < s.rows; ++r) {
      const T *x = row_of<T>(s.x, r, units), *p = row_of<T>(s.s, r, units);
      T* h = row_of<T>(s.h, r, units);
      if (s.mask && !s.mask[r]) {
        copy_row(row_of<T>(s.h_before, r, units), h, units);
        continue;
      }
      for_units<T>(units, [&](int64_t i, int n) {
        activate<f.value>(V::load(x + i, n) + V::load(p + i, n)).store(h + i, n);
      });
    }
  });
}

// A row's functions in two passes: the chain of one unit's is long, and what the processor holds back while
// it waits is no more than a function or two of the next.
template <class T>
void lstm_step(const RecurrentStep& s) {
  using V = Vec<T>;
  const int64_t units = s.units;
  for (int64_t r = 0; r < s.rows; ++r) {
    const T *x = row_of<T>(s.x, r, 4 * units), *p = row_of<T>(s.s, r, 4 * units);
    const T* c_before = row_of<T>(s.c_before, r, units);
    T *h = row_of<T>(s.h, r, units), *c = row_of<T>(s.c, r, units), *gates = row_of<T>(s.gates, r, 4 * units);
    if (s.mask && !s.mask[r]) {
      copy_row(row_of<T>(s.h_before, r, units), h, units);
      copy_row(c_before, c, units);
      continue;
    }
    const auto sum = [&](int64_t gate, int64_t at, int n) __attribute__((always_inline)) {
      return V::load(x + gate * units + at, n) + V::load(p + gate * units + at, n);
    };
    for_units<T>(
        units, [&](int64_t at, int n) __attribute__((always_inline)) {
          prefetch_units(x + 4 * units, 4, units, at);
          prefetch_units(gates + 4 * units, 4, units, at);
          prefetch_units(h + units, 1, units, at);
          prefetch_units(c + units, 1, units, at);
          V i, f, g;
          divide(sigmoid_ratio(sum(0, at, n)), sigmoid_ratio(sum(1, at, n)), tanh_ratio(sum(2, at, n)), i, f,
                 g);
          fma(f, V::load(c_before + at, n), i * g).store(c + at, n);
          i.store(gates + at, n);
          f.store(gates + units + at, n);
          g.store(gates + 2 * units + at, n);
        });
    for_units<T>(
        units, [&](int64_t at, int n) __attribute__((always_inline)) {
          V o, out;
          divide(sigmoid_ratio(sum(3, at, n)), tanh_ratio(V::load(c + at, n)), o, out);
          (o * out).store(h + at, n);
          o.store(gates + 3 * units + at, n);
        });
  }
}

template <class T>
void gru_step(const RecurrentStep& s) {
  using V = Vec<T>;
  const int64_t units = s.units;
  const T* bias = static_cast<const T*>(s.bias);
  for (int64_t row = 0; row < s.rows; ++row) {
    const T *x = row_of<T>(s.x, row, 3 * units), *p = row_of<T>(s.s, row, 3 * units);
    const T* before = row_of<T>(s.h_before, row, units);
    T *h = row_of<T>(s.h, row, units), *gates = row_of<T>(s.gates, row, 4 * units);
    if (s.mask && !s.mask[row]) {
      copy_row(before, h, units);
      continue;
    }
    const auto input = [&](int64_t gate, int64_t at, int n) __attribute__((always_inline)) {
      return V::load(x + gate * units + at, n);
    };
    const auto product = [&](int64_t gate, int64_t at, int n) __attribute__((always_inline)) {
      const V v = V::load(p + gate * units + at, n);
      return bias ? v + V::load(bias + gate * units + at, n) : v;
    };
    for_units<T>(
        units, [&](int64_t at, int n) __attribute__((always_inline)) {
          prefetch_units(x + 3 * units, 3, units, at);
          prefetch_units(gates + 4 * units, 4, units, at);
          prefetch_units(h + units, 1, units, at);
          V z, r;
          divide(sigmoid_ratio(input(0, at, n) + product(0, at, n)),
                 sigmoid_ratio(input(1, at, n) + product(1, at, n)), z, r);
          z.store(gates + at, n);
          r.store(gates + units + at, n);
        });
    for_units<T>(
        units, [&](int64_t at, int n) __attribute__((always_inline)) {
          const V z = V::load(gates + at, n), r = V::load(gates + units + at, n), q = product(2, at, n);
          const V candidate = tanh(fma(r, q, input(2, at, n)));
          fma(z, V::load(before + at, n) - candidate, candidate).store(h + at, n);
          candidate.store(gates + 2 * units + at, n);
          q.store(gates + 3 * units + at, n);
        });
  }
}

// dh += dy; of a masked sample nothing else happens but that nothing reaches x and W.
template <class T>
bool pass_by(const RecurrentGradStep& s, int64_t row, int64_t width) {
  using V = Vec<T>;
  const T* dy = row_of<T>(s.dy, row, s.units);
  T* dh = row_of<T>(s.dh, row, s.units);
  if (dy) {
    for_units<T>(s.units,
                 [&](int64_t i, int n) { (V::load(dh + i, n) + V::load(dy + i, n)).store(dh + i, n); });
  }
  if (!s.mask || s.mask[row]) return false;
  T *dx = row_of<T>(s.dx, row, width), *ds = row_of<T>(s.ds, row, width);
  for_units<T>(width, [&](int64_t i, int n) {
    V(T(0)).store(dx + i, n);
    if (ds) V(T(0)).store(ds + i, n);
  });
  return true;
}

template <class T>
void rnn_grad(const RecurrentGradStep& s) {
  using V = Vec<T>;
  const int64_t units = s.units;
  with_activation(s.activation, [&](auto f) {
    for (int64_t row = 0; row < s.rows; ++row) {
      if (pass_by<T>(s, row, units)) continue;
      const T* h = row_of<T>(s.h, row, units);
      T *dh = row_of<T>(s.dh, row, units), *dx = row_of<T>(s.dx, row, units);
      for_units<T>(units, [&](int64_t i, int n) {
        activate_grad<f.value>(V::load(dh + i, n), V::load(h + i, n)).store(dx + i, n);
        V(T(0)).store(dh + i, n);
      });
    }
  });
}

template <class T>
void lstm_grad(const RecurrentGradStep& s) {
  using V = Vec<T>;
  constexpr auto kSigmoid = Activation::sigmoid;
  constexpr auto kTanh = Activation::tanh;
  const int64_t units = s.units;
  for (int64_t row = 0; row < s.rows; ++row) {
    if (pass_by<T>(s, row, 4 * units)) continue;
    const T *c_before = row_of<T>(s.c_before, row, units), *c = row_of<T>(s.c, row, units);
    const T* gates = row_of<T>(s.gates, row, 4 * units);
    T *dh = row_of<T>(s.dh, row, units), *dc = row_of<T>(s.dc, row, units);
    T* dx = row_of<T>(s.dx, row, 4 * units);
    for_units<T>(
        units, [&](int64_t at, int n) __attribute__((always_inline)) {
          prefetch_units(gates + 4 * units, 4, units, at);
          prefetch_units(dx + 4 * units, 4, units, at);
          prefetch_units(c_before + units, 1, units, at);
          const auto gate = [&](int64_t k) __attribute__((always_inline)) {
            return V::load(gates + k * units + at, n);
          };
          const V i = gate(0), f = gate(1), g = gate(2), o = gate(3);
          const V out = tanh(V::load(c + at, n)), d = V::load(dh + at, n);
          const V state = V::load(dc + at, n) + activate_grad<kTanh>(d * o, out);
          activate_grad<kSigmoid>(state * g, i).store(dx + at, n);
          activate_grad<kSigmoid>(state * V::load(c_before + at, n), f).store(dx + units + at, n);
          activate_grad<kTanh>(state * i, g).store(dx + 2 * units + at, n);
          activate_grad<kSigmoid>(d * out, o).store(dx + 3 * units + at, n);
          (state * f).store(dc + at, n);
          V(T(0)).store(dh + at, n);
        });
  }
}

template <class T>
void gru_grad(const RecurrentGradStep& s) {
  using V = Vec<T>;
  constexpr auto kSigmoid = Activation::sigmoid;
  const int64_t units = s.units;
  for (int64_t row = 0; row < s.rows; ++row) {
    if (pass_by<T>(s, row, 3 * units)) continue;
    const T *before = row_of<T>(s.h_before, row, units), *gates = row_of<T>(s.gates, row, 4 * units);
    T* dh = row_of<T>(s.dh, row, units);
    T *dx = row_of<T>(s.dx, row, 3 * units), *ds = row_of<T>(s.ds, row, 3 * units);
    for_units<T>(
        units, [&](int64_t at, int n) __attribute__((always_inline)) {
          prefetch_units(gates + 4 * units, 4, units, at);
          prefetch_units(dx + 3 * units, 3, units, at);
          prefetch_units(ds + 3 * units, 3, units, at);
          prefetch_units(before + units, 1, units, at);
          const auto gate = [&](int64_t k) __attribute__((always_inline)) {
            return V::load(gates + k * units + at, n);
          };
          const V z = gate(0), r = gate(1), candidate = gate(2), q = gate(3), d = V::load(dh + at, n);
          const V dz = activate_grad<kSigmoid>(d * (V::load(before + at, n) - candidate), z);
          const V dn = activate_grad<Activation::tanh>(fnma(z, d, d), candidate);
          const V dr = activate_grad<kSigmoid>(dn * q, r);
          dz.store(dx + at, n);
          dz.store(ds + at, n);
          dr.store(dx + units + at, n);
          dr.store(ds + units + at, n);
          dn.store(dx + 2 * units + at, n);
          (dn * r).store(ds + 2 * units + at, n);
          (d * z).store(dh + at, n);
        });
  }
}

template <class T>
constexpr RecurrentKernels::Table kTable = {{rnn_step<T>, lstm_step<T>, gru_step<T>},
                                            {rnn_grad<T>, lstm_grad<T>, gru_grad<T>}};

}  // namespace

namespace LAMINA_ROW {
extern const RecurrentKernels recurrent_kernels;
const RecurrentKernels recurrent_kernels = {kTable<float>, kTable<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
