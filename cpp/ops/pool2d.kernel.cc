// Pooling, one row of pixels at a time, vectors along the channels. N H W C: batch, height, width, channels
// of x; OH OW: of y; p q: row and column in the window. Gradients go by rows of dx, so that rows never share
// memory: a row of dx gathers from every row of dy whose windows cover it, in ascending order.
#include "ops/pool2d.h"

#include "simd/vec.h"

namespace lamina {
namespace {

struct None {};

template <class T, class Index>
struct Lanes {  // the window indices of one vector's lanes
  using VI = Vec<typename VecTraits<T>::Int>;
  typedef Index Raw __attribute__((vector_size(sizeof(Index) * VI::kLanes)));

  static LAMINA_INLINE VI load(const Index* p, int n) {
    Raw r{};
    if (n == VI::kLanes) {
      __builtin_memcpy(&r, p, sizeof r);
    } else {
      for (int i = 0; i < n; ++i) r[i] = p[i];
    }
    return __builtin_convertvector(r, typename VI::Raw);
  }
  static LAMINA_INLINE void store(VI v, Index* p, int n) {
    const Raw r = __builtin_convertvector(v.v, Raw);
    if (n == VI::kLanes) {
      __builtin_memcpy(p, &r, sizeof r);
    } else {
      for (int i = 0; i < n; ++i) p[i] = r[i];
    }
  }
};

// The window's cells inside the image: rows [p0, p1), columns [q0, q1); x: cell (0, 0), perhaps outside.
struct Window {
  int64_t p0, p1, q0, q1, at;
};

LAMINA_INLINE int64_t at_least(int64_t v, int64_t low) { return v < low ? low : v; }
LAMINA_INLINE int64_t at_most(int64_t v, int64_t high) { return v > high ? high : v; }

LAMINA_INLINE Window window_at(const Pool2dArgs& a, int64_t n, int64_t oh, int64_t ow) {
  const int64_t h = oh * a.sh - a.top, w = ow * a.sw - a.left;
  return {at_least(-h, 0), at_most(a.H - h, a.kh), at_least(-w, 0), at_most(a.W - w, a.kw),
          ((n * a.H + h) * a.W + w) * a.C};
}

// Calls f(w) for the cells of a window in row-major order, f(offset in elements, index). kRows x kCols is the
// whole window where known when compiling (unrolled), 0 where not.
template <int kRows, int kCols, class F>
LAMINA_INLINE void each_cell(const Pool2dArgs& a, const Window& w, F f) {
  if constexpr (kRows > 0) {
#pragma GCC unroll 3
    for (int p = 0; p < kRows; ++p) {
#pragma GCC unroll 3
      for (int q = 0; q < kCols; ++q) f((p * a.W + q) * a.C, p * kCols + q);
    }
  } else {
    for (int64_t p = w.p0; p < w.p1; ++p) {
      for (int64_t q = w.q0; q < w.q1; ++q) f((p * a.W + q) * a.C, p * a.kw + q);
    }
  }
}

// y and, unless Index is None, the index of the first maximum.
struct Max {
  template <int kRows, int kCols, class T, class Index>
  static LAMINA_INLINE void pixel(const Pool2dArgs& a, const Window& w, const T* x, Index* index, T* y) {
    using V = Vec<T>;
    using VI = Vec<typename V::Int>;
    constexpr bool kIndexed = !__is_same(Index, None);
    const int64_t first = (w.p0 * a.W + w.q0) * a.C;
    for (int64_t c = 0; c < a.C; c += V::kLanes) {
      const int n = lanes_at<T>(a.C, c);
      V best = V::load(x + w.at + first + c, n);
      VI at(static_cast<typename V::Int>(w.p0 * a.kw + w.q0));
      each_cell<kRows, kCols>(
          a, w, [&](int64_t offset, int64_t i) __attribute__((always_inline)) {
            const V v = V::load(x + w.at + offset + c, n);
            const Mask<T> takes = (!(v <= best)) & (best == best);
            best = select(takes, v, best);
            if constexpr (kIndexed) {
              at = select(Mask<typename V::Int>(takes.v), VI(static_cast<typename V::Int>(i)), at);
            }
          });
      best.store(y + c, n);
      if constexpr (kIndexed) Lanes<T, Index>::store(at, index + c, n);
    }
  }
};

struct Pick {
  template <int kRows, int kCols, class T, class Index>
  static LAMINA_INLINE void pixel(const Pool2dArgs& a, const Window& w, const T* x, const Index* index,
                                  T* y) {
    using V = Vec<T>;
    for (int64_t c = 0; c < a.C; c += V::kLanes) {
      const int n = lanes_at<T>(a.C, c);
      const auto at = Lanes<T, Index>::load(index + c, n);
      V r(T(0));
      each_cell<kRows, kCols>(
          a, w, [&](int64_t offset, int64_t i) __attribute__((always_inline)) {
            r = select(Mask<T>((at == static_cast<typename V::Int>(i)).v), V::load(x + w.at + offset + c, n),
                       r);
          });
      r.store(y + c, n);
    }
  }
};

LAMINA_INLINE int64_t cells(const Window& w) { return (w.p1 - w.p0) * (w.q1 - w.q0); }

struct Average {
  template <int kRows, int kCols, class T, class Index>
  static LAMINA_INLINE void pixel(const Pool2dArgs& a, const Window& w, const T* x, Index*, T* y) {
    using V = Vec<T>;
    const V scale(T(1) / static_cast<T>(cells(w)));
    for (int64_t c = 0; c < a.C; c += V::kLanes) {
      const int n = lanes_at<T>(a.C, c);
      V sum(T(0));
      each_cell<kRows, kCols>(
          a, w, [&](int64_t offset, int64_t) __attribute__((always_inline)) {
            sum += V::load(x + w.at + offset + c, n);
          });
      (sum * scale).store(y + c, n);
    }
  }
};

template <class Op, class T, class Index, int kRows, int kCols>
void forward_rows(const Pool2dArgs& a, const T* x, Index* index, T* y, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t n = row / a.OH, oh = row % a.OH;
    for (int64_t ow = 0; ow < a.OW; ++ow) {
      const Window w = window_at(a, n, oh, ow);
      const int64_t at = (row * a.OW + ow) * a.C;
      if (kRows > 0 && cells(w) == kRows * kCols) {
        Op::template pixel<kRows, kCols>(a, w, x, index + at, y + at);
      } else {
        Op::template pixel<0, 0>(a, w, x, index + at, y + at);
      }
    }
  }
}

template <class Op, class T, class Index>
void forward(const Pool2dArgs& a, const void* x_, void* index_, void* y_, int64_t begin, int64_t end) {
  const T* x = static_cast<const T*>(x_);
  Index* index = static_cast<Index*>(index_);
  T* y = static_cast<T*>(y_);
  if constexpr (__is_same(T, float) && !__is_same(Index, int32_t) && !__is_same(Op, Pick)) {
    if (a.kh == 2 && a.kw == 2) return forward_rows<Op, T, Index, 2, 2>(a, x, index, y, begin, end);
    if (a.kh == 3 && a.kw == 3) return forward_rows<Op, T, Index, 3, 3>(a, x, index, y, begin, end);
  }
  forward_rows<Op, T, Index, 0, 0>(a, x, index, y, begin, end);
}

// One row of dx from row oh of dy, whose windows cover it with their row p. kAdd: windows overlap.
template <bool kAdd, class T, class Index>
LAMINA_INLINE void grad_row(const Pool2dArgs& a, const T* dy, const Index* index, T* dx, int64_t n,
                            int64_t oh, int64_t p) {
  using V = Vec<T>;
  using Int = typename V::Int;
  constexpr bool kMax = !__is_same(Index, None);
  for (int64_t ow = 0; ow < a.OW; ++ow) {
    const Window w = window_at(a, n, oh, ow);
    const T scale = T(1) / static_cast<T>(cells(w));
    const int64_t at = ((n * a.OH + oh) * a.OW + ow) * a.C;
    T* first = dx + (ow * a.sw - a.left) * a.C;
    for (int64_t c = 0; c < a.C; c += V::kLanes) {
      const int m = lanes_at<T>(a.C, c);
      V g = V::load(dy + at + c, m);
      Vec<Int> winner;
      if constexpr (kMax) {
        winner = Lanes<T, Index>::load(index + at + c, m);
      } else {
        g *= V(scale);
      }
      for (int64_t q = w.q0; q < w.q1; ++q) {
        T* to = first + q * a.C + c;
        V part = g;
        if constexpr (kMax) {
          part = select(Mask<T>((winner == static_cast<Int>(p * a.kw + q)).v), g, V(T(0)));
        }
        if constexpr (kAdd) part += V::load(to, m);
        part.store(to, m);
      }
    }
  }
}

template <class T, class Index>
void grad(const Pool2dArgs& a, const void* dy_, void* index_, void* dx_, int64_t begin, int64_t end) {
  const T* dy = static_cast<const T*>(dy_);
  const Index* index = static_cast<const Index*>(index_);
  const bool overlaps = a.kh > a.sh || a.kw > a.sw;
  // Every pixel lies in one window: nothing to clear.
  const bool tiles = a.kh == a.sh && a.kw == a.sw && a.OH * a.sh >= a.H && a.OW * a.sw >= a.W;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t n = row / a.H, h = row % a.H + a.top;  // window oh covers rows oh sh <= h < oh sh + kh
    T* dx = static_cast<T*>(dx_) + row * a.W * a.C;
    if (!tiles) __builtin_memset(dx, 0, sizeof(T) * a.W * a.C);
    const int64_t low = h < a.kh ? 0 : (h - a.kh) / a.sh + 1, high = at_most(h / a.sh, a.OH - 1);
    for (int64_t oh = low; oh <= high; ++oh) {
      if (overlaps) {
        grad_row<true>(a, dy, index, dx, n, oh, h - oh * a.sh);
      } else {
        grad_row<false>(a, dy, index, dx, n, oh, h - oh * a.sh);
      }
    }
  }
}

}  // namespace

namespace LAMINA_ROW {
extern const Pool2dKernels pool2d_kernels;
#define LAMINA_POOL2D(T)                                                                         \
  {                                                                                              \
    forward<Average, T, None>, grad<T, None>, forward<Max, T, None>, forward<Max, T, uint8_t>,   \
        forward<Max, T, int32_t>, grad<T, uint8_t>, grad<T, int32_t>, forward<Pick, T, uint8_t>, \
        forward<Pick, T, int32_t>                                                                \
  }
const Pool2dKernels pool2d_kernels = {LAMINA_POOL2D(float), LAMINA_POOL2D(double)};
#undef LAMINA_POOL2D
}  // namespace LAMINA_ROW
}  // namespace lamina
