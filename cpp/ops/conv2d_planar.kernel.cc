// Vectors along pixels, see conv2d_planar.h.
#include "ops/conv2d_planar.h"

#include "ops/activation.kernel.h"
#include "simd/transpose.h"

namespace lamina {
namespace {

// Few filters: half a vector; more fill one well enough.
template <class T>
constexpr int kFew = Vec<T>::kLanes / 2;
constexpr int kRow = 8;         // elements a pixel gets on its way between pixels and planes, kFew or more
constexpr int64_t kChunk = 64;  // pixels whose rows stay in L1

constexpr int at_most(int most, int n) { return n < most ? n : most; }
// Vectors of pixels at a time, beside one vector of weights and the pixels themselves.
template <int F>
constexpr int kPixels = at_most(8, (kVecRegisters - 1) / (F + 1));
// Taps at a time in the weight gradient, beside one vector of pixels and F of dz.
template <int F>
constexpr int kTaps = at_most(12, (kVecRegisters - 1 - F) / F);

// Pixels of `channels` <= kRow elements, `step` apart and before `end`, into rows of kRow; what is left of a
// row may be any numbers.
template <class T>
LAMINA_INLINE void to_rows(const T* pixels, const T* end, int64_t step, int64_t count, int channels,
                           T* rows) {
  for (int64_t i = 0; i < count; ++i, pixels += step, rows += kRow) {
    if (end - pixels >= kRow) {
      __builtin_memcpy(rows, pixels, sizeof(T) * kRow);  // of known size: one or two moves
    } else {
      __builtin_memcpy(rows, pixels, sizeof(T) * channels);
    }
  }
}

// Rows of kRow elements into planes. sums: null or a vector for each plane, added to.
template <class T>
LAMINA_INLINE void to_planes(const T* rows, int64_t count, int channels, T* planes, int64_t plane, T* sums) {
  constexpr int kLanes = Vec<T>::kLanes;
  Vec<T> sum[kRow];
  for (int64_t i = 0; i < count; i += kLanes) {
    const int lanes = lanes_at<T>(count, i);
    Vec<T> r[kRow];
#pragma GCC unroll 8
    for (int v = 0; v < kRow; ++v) r[v] = Vec<T>::load(rows + i * kRow + v * kLanes);
    rotate<kRow, log2_of(kLanes)>(r);
#pragma GCC unroll 8
    for (int f = 0; f < kRow; ++f) {
      if (f >= channels) break;
      T* to = planes + f * plane + i;
      r[f].store(to, lanes);
      sum[f] += lanes == kLanes ? r[f] : Vec<T>::load(to, lanes);
    }
  }
  if (sums == nullptr) return;
#pragma GCC unroll 8
  for (int f = 0; f < kRow; ++f) {
    if (f >= channels) break;
    T* to = sums + f * kLanes;
    (Vec<T>::load(to) + sum[f]).store(to);
  }
}

// A vector of pixels, `channels` <= kLanes of each, in registers alone.
template <class T>
LAMINA_INLINE void transpose_pixels(const T* pixels, int64_t step, int count, int channels, T* planes,
                                    int64_t plane) {
  constexpr int kLanes = Vec<T>::kLanes;
  Vec<T> r[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i < count) r[i] = Vec<T>::load(pixels + i * step, channels);
  }
  transpose(r);
#pragma GCC unroll 16
  for (int c = 0; c < kLanes; ++c) {
    if (c < channels) r[c].store(planes + c * plane, count);
  }
}

template <class T>
void split(const PlanarSplit& s) {
  constexpr int kLanes = Vec<T>::kLanes;
  const T* pixels = static_cast<const T*>(s.pixels);
  T* planes = static_cast<T*>(s.planes);
  if (s.channels == 1) {
    __builtin_memcpy(planes, pixels, sizeof(T) * s.count);
    return;
  }
  if (s.channels <= kRow && kRow < kLanes) {
    alignas(64) T rows[kChunk * kRow];
    const int channels = static_cast<int>(s.channels);
    for (int64_t i = 0; i < s.count; i += kChunk) {
      const int64_t count = simd_min(kChunk, s.count - i);
      to_rows(pixels + i * channels, pixels + s.count * channels, channels, count, channels, rows);
      to_planes<T>(rows, count, channels, planes + i, s.plane, nullptr);
    }
    return;
  }
  for (int64_t c = 0; c < s.channels; c += kLanes) {
    for (int64_t i = 0; i < s.count; i += kLanes) {
      transpose_pixels(pixels + i * s.channels + c, s.channels, lanes_at<T>(s.count, i),
                       lanes_at<T>(s.channels, c), planes + c * s.plane + i, s.plane);
    }
  }
}

template <class T>
void split_grad(const PlanarSplitGrad& s) {
  constexpr int kLanes = Vec<T>::kLanes;
  const T *dy = static_cast<const T*>(s.dy), *y = static_cast<const T*>(s.y);
  const int filters = static_cast<int>(s.filters);
  T *dz = static_cast<T*>(s.dz), *planes = static_cast<T*>(s.planes), *sums = static_cast<T*>(s.sums);
  alignas(64) T rows[kChunk * kRow];
  alignas(64) T flat[kChunk * kRow];
  for (int64_t i = 0; i < s.count; i += kChunk) {
    const int64_t count = simd_min(kChunk, s.count - i), at = i * filters, n = count * filters;
    const T* pixels = dy + at;
    if (s.activation != Activation::none) {
      with_activation(
          s.activation, [&](auto f) __attribute__((always_inline)) {
            for (int64_t e = 0; e < n; e += kLanes) {
              const int lanes = lanes_at<T>(n, e);
              const Vec<T> d =
                  activate_grad<f.value>(Vec<T>::load(dy + at + e, lanes), Vec<T>::load(y + at + e, lanes));
              d.store(flat + e, lanes);
              if (dz != nullptr) d.store(dz + at + e, lanes);
            }
          });
      pixels = flat;
    }
    to_rows(pixels, pixels + n, filters, count, filters, rows);
    to_planes(rows, count, filters, planes + i, s.plane, sums);
  }
}

// Vectors of pixels: count of each, and where their first is.
template <int V>
struct Vectors {
  int64_t start[V], y[V], column[V];
  int count[V];
};

// The pixels of one vector from rows of kRow elements to their place; those past a row's columns are dropped.
template <int F, class T>
LAMINA_INLINE void put_pixels(const PlanarBlock& s, const T* rows, int64_t at, int64_t column,
                              int64_t count) {
  T* y = static_cast<T*>(s.y) + at;
  while (count > 0) {
    const int64_t here = simd_min(count, s.pitch - column), stored = simd_min(count, s.columns - column);
    int64_t i = 0;
    if (s.y_col == F) {  // what is too much is overwritten by the pixels that follow
      for (; (stored - i) * F >= kRow; ++i) __builtin_memcpy(y + i * F, rows + i * kRow, sizeof(T) * kRow);
    }
    for (; i < stored; ++i) __builtin_memcpy(y + i * s.y_col, rows + i * kRow, sizeof(T) * F);
    count -= here;
    rows += here * kRow;
    column = 0;
    y += s.y_row - (s.pitch - here) * s.y_col;
  }
}

template <class T, int F, int V>
LAMINA_INLINE void multiply_tile(const PlanarBlock& s, const Vectors<V>& at, int count) {
  constexpr int kLanes = Vec<T>::kLanes;
  const T *planes = static_cast<const T*>(s.planes), *w = static_cast<const T*>(s.w),
          *bias = static_cast<const T*>(s.bias);
  const T* x[V];
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) x[v] = planes + at.start[v];
  Vec<T> acc[V][F];
  const int64_t* taps = s.taps;
  for (int64_t c = 0; c < s.channels; ++c, taps += s.channel_taps, w += s.channel_taps * F) {
    for (int64_t k = s.first_tap; k < s.last_tap; ++k) {
      const int64_t tap = taps[k];
      Vec<T> pixels[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) pixels[v] = Vec<T>::load(x[v] + tap);
#pragma GCC unroll 8
      for (int f = 0; f < F; ++f) {
        const Vec<T> weight(w[k * F + f]);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) acc[v][f] = fma(pixels[v], weight, acc[v][f]);
      }
    }
  }
  alignas(64) T rows[V][kRow * kLanes];
  const auto finish = [&](auto activation) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      Vec<T> r[kRow];
#pragma GCC unroll 8
      for (int f = 0; f < F; ++f) {
        r[f] = activate<activation.value>(bias != nullptr ? acc[v][f] + Vec<T>(bias[f]) : acc[v][f]);
      }
      rotate<kRow, log2_of(kRow)>(r);
#pragma GCC unroll 8
      for (int i = 0; i < kRow; ++i) r[i].store(rows[v] + i * kLanes);
    }
  };
  if (s.activation == Activation::relu) {
    finish(ActivationTag<Activation::relu>{});
  } else {
    finish(ActivationTag<Activation::none>{});
    if (s.activation != Activation::none) {  // longer functions in a loop, not unrolled over the tile
      with_activation(s.activation, [&](auto f) {
        for (int64_t i = 0; i < count * kRow * kLanes; i += kLanes) {
          activate<f.value>(Vec<T>::load(rows[0] + i)).store(rows[0] + i);
        }
      });
    }
  }
  for (int v = 0; v < count; ++v) put_pixels<F>(s, rows[v], at.y[v], at.column[v], at.count[v]);
}

template <class T, int F>
void multiply(const PlanarBlock& s) {
  constexpr int V = kPixels<F>, kHalf = (V + 1) / 2, kLanes = Vec<T>::kLanes;
  const int64_t positions = (s.rows - 1) * s.pitch + s.columns, each = (positions + kLanes - 1) / kLanes;
  const int64_t total = s.images * each;
  const auto vector_at = [&](int64_t i, auto& to, int v) __attribute__((always_inline)) {
    const int64_t image = i / each, position = i % each * kLanes, row = position / s.pitch;
    to.start[v] = image * s.image + position;
    to.column[v] = position - row * s.pitch;
    to.y[v] = image * s.y_image + row * s.y_row + to.column[v] * s.y_col;
    to.count[v] = lanes_at<T>(positions, position);
  };
  // kSize vectors from i, the last once more for those past the end: computed, not stored.
  const auto tile = [&]<int kSize>(int64_t i) __attribute__((always_inline)) {
    const int count = static_cast<int>(simd_min<int64_t>(kSize, total - i));
    Vectors<kSize> vectors;
    for (int v = 0; v < kSize; ++v) vector_at(i + simd_min(v, count - 1), vectors, v);
    multiply_tile<T, F, kSize>(s, vectors, count);
  };
  int64_t i = 0;
  for (; total - i > kHalf; i += V) tile.template operator()<V>(i);
  if (i < total) tile.template operator()<kHalf>(i);
}

// A load without a branch where the row has loads of some lanes.
template <class T>
LAMINA_INLINE Vec<T> load_some(const T* p, int n) {
  if constexpr (kVecBytes > 16) return raw_load(p, n);
  return Vec<T>::load(p, n);
}

template <class T, int F, int K>
LAMINA_INLINE void weight_tile(const PlanarWeightBlock& s, int64_t first, int count) {
  constexpr int kLanes = Vec<T>::kLanes;
  const T* x[K];
  for (int k = 0; k < K; ++k) {
    x[k] = static_cast<const T*>(s.planes) + s.taps[first + simd_min(k, count - 1)];
  }
  Vec<T> acc[K][F];
  const T* dz = static_cast<const T*>(s.dz);
  int64_t at = 0, column = s.columns, row = s.rows;  // left of either
  for (int64_t i = s.images * s.rows * ((s.columns + kLanes - 1) / kLanes); i > 0; --i) {
    const int lanes = column < kLanes ? static_cast<int>(column) : kLanes;
    Vec<T> d[F];
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) d[f] = load_some(dz + f * s.dz_plane, lanes);
#pragma GCC unroll 12
    for (int k = 0; k < K; ++k) {
      const Vec<T> pixels = load_some(x[k] + at, lanes);
#pragma GCC unroll 8
      for (int f = 0; f < F; ++f) acc[k][f] = fma(pixels, d[f], acc[k][f]);
    }
    at += lanes;
    dz += lanes;
    if ((column -= lanes) > 0) continue;
    column = s.columns;
    at += s.pitch - s.columns;
    if (--row > 0) continue;
    row = s.rows;
    at += s.image - s.rows * s.pitch;
  }
  T* sums = static_cast<T*>(s.sums) + first * F * kLanes;
#pragma GCC unroll 12
  for (int k = 0; k < K; ++k) {  // unrolled: acc stays in registers
    if (k >= count) break;
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) {
      T* sum = sums + (k * F + f) * kLanes;
      (Vec<T>::load(sum) + acc[k][f]).store(sum);
    }
  }
}

template <class T, int F>
void weight(const PlanarWeightBlock& s) {
  constexpr int K = kTaps<F>;
  for (int64_t k = 0; k < s.depth; k += K) {
    const int count = static_cast<int>(simd_min<int64_t>(K, s.depth - k));
    count == 1 ? weight_tile<T, F, 1>(s, k, 1) : weight_tile<T, F, K>(s, k, count);
  }
}

template <class T>
void reduce(const void* sums, int64_t n, void* to) {
  constexpr int kLanes = Vec<T>::kLanes;
  for (int64_t i = 0; i < n; ++i) {
    static_cast<T*>(to)[i] = reduce_add(Vec<T>::load(static_cast<const T*>(sums) + i * kLanes));
  }
}

// f(filters) with the number known when compiling.
template <class T, int F = 1, class Body>
void with_filters(int64_t filters, Body body) {
  if constexpr (F <= kFew<T>) {
    if (filters == F) return body.template operator()<F>();
    with_filters<T, F + 1>(filters, body);
  }
}
template <class T>
void any_multiply(const PlanarBlock& s) {
  with_filters<T>(s.filters, [&]<int F>() { multiply<T, F>(s); });
}
template <class T>
void any_weight(const PlanarWeightBlock& s) {
  with_filters<T>(s.filters, [&]<int F>() { weight<T, F>(s); });
}

template <class T>
constexpr PlanarKernels::Table kTable = {
    .lanes = Vec<T>::kLanes,
    .few = kFew<T>,
    .split = split<T>,
    .multiply = any_multiply<T>,
    .split_grad = split_grad<T>,
    .weight = any_weight<T>,
    .reduce = reduce<T>,
};

}  // namespace

namespace LAMINA_ROW {
extern const PlanarKernels planar_kernels;
const PlanarKernels planar_kernels = {kTable<float>, kTable<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
