// Pooling, one row of pixels at a time, vectors along the channels. N H W C: batch, height, width, channels
// of x; OH OW: of y; p q: row and column in the window. Gradients go by rows of dx, so that rows never share
// memory: a row of dx gathers from every row of dy whose windows cover it, in ascending order.
//
// Where pixels are written once and in ascending order, the last vector of a pixel is a whole one too, which
// runs on into pixels that are written later: `channels` is then C in whole vectors.
#include "ops/pool2d.h"

#include "simd/vec.h"

namespace lamina {
namespace {

struct None {};

// kLanes integers of kBytes bytes, converted in steps that the compiler has instructions
// for: halves or doubles.
template <int kLanes, int kBytes>
struct Integers;
#define LAMINA_INTEGERS(kBytes, Type)                               \
  template <int kLanes>                                             \
  struct Integers<kLanes, kBytes> {                                 \
    typedef Type Raw __attribute__((vector_size(kBytes * kLanes))); \
  };
LAMINA_INTEGERS(1, uint8_t)
LAMINA_INTEGERS(2, uint16_t)
LAMINA_INTEGERS(4, int32_t)
LAMINA_INTEGERS(8, int64_t)
#undef LAMINA_INTEGERS

template <int kLanes, int kFrom, int kTo>
LAMINA_INLINE auto converted(typename Integers<kLanes, kFrom>::Raw v) {
  if constexpr (kFrom == kTo) {
    return v;
  } else {
    constexpr int kNext = kFrom < kTo ? 2 * kFrom : kFrom / 2;
    return converted<kLanes, kNext, kTo>(__builtin_convertvector(v, typename Integers<kLanes, kNext>::Raw));
  }
}

template <class T, class Index>
struct Lanes {  // the window indices of one vector's lanes
  using VI = Vec<typename VecTraits<T>::Int>;
  static constexpr int kLanes = VI::kLanes, kBytes = sizeof(Index);
  using Raw = typename Integers<kLanes, kBytes>::Raw;

  static LAMINA_INLINE VI load(const Index* p, int n) {
    Raw r{};
    if (n == kLanes) {
      __builtin_memcpy(&r, p, sizeof r);
    } else {
      for (int i = 0; i < n; ++i) r[i] = p[i];
    }
    return typename VI::Raw(converted<kLanes, kBytes, sizeof(T)>(r));
  }
  static LAMINA_INLINE void store(VI v, Index* p, int n) {
    const Raw r = converted<kLanes, sizeof(T), kBytes>(v.v);
    if (n == kLanes) {
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

LAMINA_INLINE int64_t cells(const Window& w) { return (w.p1 - w.p0) * (w.q1 - w.q0); }

template <class T>
LAMINA_INLINE int64_t whole_vectors(int64_t channels) {
  return (channels + Vec<T>::kLanes - 1) / Vec<T>::kLanes * Vec<T>::kLanes;
}

// How many of the places 0, step, 2 step, ... do not pass `end`.
LAMINA_INLINE int64_t room(int64_t end, int64_t step) { return end < 0 ? 0 : end / step + 1; }

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
  static LAMINA_INLINE void pixel(const Pool2dArgs& a, const Window& w, int64_t channels, const T* x,
                                  Index* index, T* y) {
    using V = Vec<T>;
    using VI = Vec<typename V::Int>;
    constexpr bool kIndexed = !__is_same(Index, None);
    const int64_t first = kRows > 0 ? 0 : (w.p0 * a.W + w.q0) * a.C;
    const int64_t first_index = kRows > 0 ? 0 : w.p0 * a.kw + w.q0;
    along<T>(
        channels, [&](int64_t c, int n) __attribute__((always_inline)) {
          V best = V::load(x + w.at + first + c, n);
          VI at(static_cast<typename V::Int>(first_index));
          each_cell<kRows, kCols>(
              a, w, [&](int64_t offset, int64_t i) __attribute__((always_inline)) {
                if (kRows > 0 && i == 0) return;
                const V v = V::load(x + w.at + offset + c, n);
                const Mask<T> takes = (!(v <= best)) & (best == best);
                best = select(takes, v, best);
                if constexpr (kIndexed) {
                  at = select(Mask<typename V::Int>(takes.v), VI(static_cast<typename V::Int>(i)), at);
                }
              });
          best.store(y + c, n);
          if constexpr (kIndexed) Lanes<T, Index>::store(at, index + c, n);
        });
  }
};

struct Pick {
  template <int kRows, int kCols, class T, class Index>
  static LAMINA_INLINE void pixel(const Pool2dArgs& a, const Window& w, int64_t channels, const T* x,
                                  const Index* index, T* y) {
    using V = Vec<T>;
    along<T>(
        channels, [&](int64_t c, int n) __attribute__((always_inline)) {
          const auto at = Lanes<T, Index>::load(index + c, n);
          V r(T(0));
          each_cell<kRows, kCols>(
              a, w, [&](int64_t offset, int64_t i) __attribute__((always_inline)) {
                const Mask<T> here((at == static_cast<typename V::Int>(i)).v);
                r = select(here, V::load(x + w.at + offset + c, n), r);
              });
          r.store(y + c, n);
        });
  }
};

struct Average {
  template <int kRows, int kCols, class T, class Index>
  static LAMINA_INLINE void pixel(const Pool2dArgs& a, const Window& w, int64_t channels, const T* x, Index*,
                                  T* y) {
    using V = Vec<T>;
    const V scale(T(1) / static_cast<T>(kRows > 0 ? kRows * kCols : cells(w)));
    along<T>(
        channels, [&](int64_t c, int n) __attribute__((always_inline)) {
          V sum(T(0));
          each_cell<kRows, kCols>(
              a, w, [&](int64_t offset, int64_t) __attribute__((always_inline)) {
                sum += V::load(x + w.at + offset + c, n);
              });
          (sum * scale).store(y + c, n);
        });
  }
};

template <class Op, class T, class Index, int kRows, int kCols>
void forward_rows(const Pool2dArgs& a, const T* x, Index* index, T* y, int64_t begin, int64_t end) {
  const int64_t whole = whole_vectors<T>(a.C), x_end = a.N * a.H * a.W * a.C, y_end = end * a.OW * a.C;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t n = row / a.OH, oh = row % a.OH;
    const auto pixel = [&](int64_t ow) __attribute__((always_inline)) {
      const Window w = window_at(a, n, oh, ow);
      const int64_t at = (row * a.OW + ow) * a.C, last = w.at + ((w.p1 - 1) * a.W + w.q1 - 1) * a.C;
      const int64_t channels = at + whole <= y_end && last + whole <= x_end ? whole : a.C;
      if (kRows > 0 && cells(w) == kRows * kCols) {
        Op::template pixel<kRows, kCols>(a, w, channels, x, index + at, y + at);
      } else {
        Op::template pixel<0, 0>(a, w, channels, x, index + at, y + at);
      }
    };
    int64_t ow = 0;
    if constexpr (kRows > 0) {
      // Whole windows, whole vectors: [ow, middle) without a question in between.
      const int64_t first = at_most((a.left + a.sw - 1) / a.sw, a.OW);
      for (; ow < first; ++ow) pixel(ow);
      Window w = window_at(a, n, oh, ow);
      int64_t at = (row * a.OW + ow) * a.C, middle = ow;
      const int64_t last = w.at + ((kRows - 1) * a.W + kCols - 1) * a.C;
      if (w.p0 == 0 && w.p1 == kRows && ow < a.OW) {
        middle = at_most((a.W + a.left - kCols) / a.sw + 1, a.OW);
        middle = at_most(middle, ow + room(y_end - at - whole, a.C));
        middle = at_most(middle, ow + room(x_end - last - whole, a.sw * a.C));
      }
      for (; ow < middle; ++ow, at += a.C, w.at += a.sw * a.C) {
        Op::template pixel<kRows, kCols>(a, w, whole, x, index + at, y + at);
      }
    }
    for (; ow < a.OW; ++ow) pixel(ow);
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

// One row of dx from row oh of dy, whose windows cover it with their row p. kAdd: windows overlap. writable:
// how much of dx from here on may be written before what is written next.
template <bool kAdd, class T, class Index>
LAMINA_INLINE void grad_row(const Pool2dArgs& a, const T* dy, const Index* index, T* dx, int64_t n,
                            int64_t oh, int64_t p, int64_t writable) {
  using V = Vec<T>;
  using Int = typename V::Int;
  constexpr bool kMax = !__is_same(Index, None);
  const int64_t dy_end = a.N * a.OH * a.OW * a.C;
  // The columns [q0, q1) of a window.
  const auto window = [&](int64_t at, int64_t to, int64_t q0, int64_t q1, int64_t channels, T scale)
      __attribute__((always_inline)) {
    along<T>(
        channels, [&](int64_t c, int m) __attribute__((always_inline)) {
          V g = V::load(dy + at + c, m);
          Vec<Int> winner;
          if constexpr (kMax) {
            winner = Lanes<T, Index>::load(index + at + c, at + c + V::kLanes <= dy_end ? V::kLanes : m);
          } else {
            g *= V(scale);
          }
          for (int64_t q = q0; q < q1; ++q) {
            T* place = dx + to + q * a.C + c;
            V part = g;
            if constexpr (kMax) {
              part = select(Mask<T>((winner == static_cast<Int>(p * a.kw + q)).v), g, V(T(0)));
            }
            if constexpr (kAdd) part += V::load(place, m);
            part.store(place, m);
          }
        });
  };
  const Window w = window_at(a, n, oh, 0);
  const int64_t rows = w.p1 - w.p0, first = at_most((a.left + a.sw - 1) / a.sw, a.OW);
  const int64_t row = (n * a.OH + oh) * a.OW * a.C;
  const auto pixel = [&](int64_t ow) __attribute__((always_inline)) {
    const int64_t left = ow * a.sw - a.left, q0 = at_least(-left, 0), q1 = at_most(a.W - left, a.kw);
    window(row + ow * a.C, left * a.C, q0, q1, a.C, T(1) / static_cast<T>(rows * (q1 - q0)));
  };
  int64_t ow = 0;
  for (; ow < first; ++ow) pixel(ow);
  int64_t at = row + ow * a.C, to = (ow * a.sw - a.left) * a.C, middle = ow;
  middle = at_most((a.W + a.left - a.kw) / a.sw + 1, a.OW);
  const T scale = T(1) / static_cast<T>(rows * a.kw);
  if (!kAdd && a.C < V::kLanes) {
    const int64_t last = to + (a.kw - 1) * a.C + V::kLanes;
    const int64_t wide = at_most(room(writable - last, a.sw * a.C), room(dy_end - at - V::kLanes, a.C));
    for (const int64_t end = at_most(middle, ow + wide); ow < end; ++ow, at += a.C, to += a.sw * a.C) {
      window(at, to, 0, a.kw, V::kLanes, scale);
    }
  }
  for (; ow < middle; ++ow, at += a.C, to += a.sw * a.C) window(at, to, 0, a.kw, a.C, scale);
  for (; ow < a.OW; ++ow) pixel(ow);
}

template <class T, class Index>
void grad(const Pool2dArgs& a, const void* dy_, void* index_, void* dx_, int64_t begin, int64_t end) {
  const T* dy = static_cast<const T*>(dy_);
  const Index* index = static_cast<const Index*>(index_);
  const bool overlaps = a.kh > a.sh || a.kw > a.sw;
  // Every column of a row that is covered at all lies in one window; every pixel does.
  const bool fills = a.kh <= a.sh && a.kw == a.sw && a.OW * a.sw - a.left >= a.W;
  const bool tiles = fills && a.kh == a.sh && a.OH * a.sh - a.top >= a.H;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t n = row / a.H, h = row % a.H + a.top;  // window oh covers rows oh sh <= h < oh sh + kh
    T* dx = static_cast<T*>(dx_) + row * a.W * a.C;
    if (!tiles) __builtin_memset(dx, 0, sizeof(T) * a.W * a.C);
    const int64_t writable = fills ? (end - row) * a.W * a.C : 0;
    const int64_t low = h < a.kh ? 0 : (h - a.kh) / a.sh + 1, high = at_most(h / a.sh, a.OH - 1);
    for (int64_t oh = low; oh <= high; ++oh) {
      if (overlaps) {
        grad_row<true>(a, dy, index, dx, n, oh, h - oh * a.sh, 0);
      } else {
        grad_row<false>(a, dy, index, dx, n, oh, h - oh * a.sh, writable);
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
