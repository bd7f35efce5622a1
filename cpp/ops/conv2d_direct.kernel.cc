// Register tiles of convolution: MR rows x NV vectors of accumulators over `depth` products, see
// conv2d_direct.h.
#include "ops/conv2d_direct.h"

#include "ops/activation.kernel.h"
#include "simd/vec.h"

namespace lamina {
namespace {

constexpr int kNv = 2;  // vectors per panel
// Pixels (or taps) per tile: 28 + 2 + 1 of 32 registers, or 12 + 2 + 1 of 16. Of one vector as many as x86
// has registers for their addresses: a second load for each would take as long as the products.
constexpr int kMrTwo = kVecRegisters == 32 ? 14 : 6, kMrOne = kVecBytes == 64 ? 9 : kMrTwo;
template <int NV>
constexpr int kMr = NV == 1 ? kMrOne : kMrTwo;
constexpr int kMrSmall = kVecRegisters == 32 ? 6 : 3;  // for what a rectangle leaves over
constexpr int kChunk = 256;                            // pixels per packed piece of dy (<= 32 KB)

// acc[i][v] += sum_k a[rows[i] + steps[k]] * b[k][v]
template <class T, int NV, int MR>
LAMINA_INLINE void multiply(const T* a, const int64_t (&rows)[MR], const int64_t* steps, int64_t depth,
                            const T* b, Vec<T> (&acc)[MR][NV]) {
  constexpr int kLanes = Vec<T>::kLanes;
  for (int64_t k = 0; k < depth; ++k) {
    const T* p = a + steps[k];
    asm("" : "+r"(p));  // one register: else every row gets an addition of its own
    Vec<T> bk[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) bk[v] = Vec<T>::load(b + v * kLanes);
    b += kNv * kLanes;
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i) {
      const Vec<T> x(p[rows[i]]);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = fma(x, bk[v], acc[i][v]);
    }
  }
}

// Walks the pixels of a rectangle in order.
struct PixelWalk {
  const ConvPixels& p;
  int64_t row = 0, col = 0, a, y = 0, a_row, y_row = 0, a_image, y_image = 0;

  explicit LAMINA_INLINE PixelWalk(const ConvPixels& pixels)
      : p(pixels), a(pixels.a_start), a_row(a), a_image(a) {}
  LAMINA_INLINE void next() {
    a += p.a_col;
    y += p.y_col;
    if (++col < p.cols) return;
    col = 0;
    a = a_row += p.a_row;
    y = y_row += p.y_row;
    if (++row < p.rows) return;
    row = 0;
    a = a_row = a_image += p.a_image;
    y = y_row = y_image += p.y_image;
  }
};

// The next `count` <= MR pixels of walk.
template <class T, int NV, int MR>
LAMINA_INLINE void pixel_tile(const ConvBlock& s, PixelWalk& walk, int count) {
  constexpr int kLanes = Vec<T>::kLanes;
  const T* bias = static_cast<const T*>(s.bias);
  T* y = static_cast<T*>(s.y);
  const int last = s.n - (NV - 1) * kLanes;  // lanes of the last vector
  const auto lanes = [&](int v) __attribute__((always_inline)) { return v + 1 < NV ? kLanes : last; };
  int64_t rows[MR], out[MR];
  for (int i = 0; i < count; ++i) {
    rows[i] = walk.a;
    out[i] = walk.y;
    walk.next();
  }
  for (int i = count; i < MR; ++i) rows[i] = rows[0];  // computed, not stored
  Vec<T> acc[MR][NV];
  for (int64_t r = 0; r < s.runs.count; ++r) {
    const int64_t k = s.runs.first + r * s.runs.step;
    multiply<T, NV, MR>(static_cast<const T*>(s.a), rows, s.taps + k, s.runs.length,
                        static_cast<const T*>(s.b) + k * kNv * kLanes, acc);
  }
  const auto finish = [&](auto f) __attribute__((always_inline)) {
    Vec<T> add[NV];
    for (int v = 0; v < NV; ++v) {
      if (bias != nullptr) add[v] = Vec<T>::load(bias + v * kLanes, lanes(v));
    }
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i) {
      if (i >= count) break;
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) {
        activate<f.value>(acc[i][v] + add[v]).store(y + out[i] + v * kLanes, lanes(v));
      }
    }
  };
  if (s.activation == Activation::relu) return finish(ActivationTag<Activation::relu>{});
  finish(ActivationTag<Activation::none>{});
  if (s.activation == Activation::none) return;
  with_activation(s.activation, [&](auto f) {  // longer functions in a loop, not unrolled over the tile
    for (int i = 0; i < count; ++i) {
      for (int v = 0; v < NV; ++v) {
        T* at = y + out[i] + v * kLanes;
        activate<f.value>(Vec<T>::load(at, lanes(v))).store(at, lanes(v));
      }
    }
  });
}

template <class T, int NV>
void block(const ConvBlock& s) {
  int64_t left = s.pixels.images * s.pixels.rows * s.pixels.cols;
  PixelWalk walk(s.pixels);
  for (; left > kMrSmall; left -= kMr<NV>)
    pixel_tile<T, NV, kMr<NV>>(s, walk, left < kMr<NV> ? static_cast<int>(left) : kMr<NV>);
  if (left > 0) pixel_tile<T, NV, kMrSmall>(s, walk, static_cast<int>(left));
}

// dw[k][f] += sum_m a[taps[k] + steps[m]] * dz[m][f] for the products j .. j + count of the runs.
template <class T, int NV, int MR>
LAMINA_INLINE void weight_tile(const ConvWeightBlock& s, int64_t j, int count, const int64_t* steps,
                               int64_t pixels, const T* dz) {
  constexpr int kLanes = Vec<T>::kLanes;
  const int last = s.n - (NV - 1) * kLanes;
  int64_t rows[MR], out[MR];
  int64_t run = j / s.runs.length, at = j % s.runs.length;
  for (int i = 0; i < MR; ++i) {
    const int64_t k = s.runs.first + run * s.runs.step + at;
    rows[i] = s.taps[k];
    out[i] = k * s.dw_row;
    if (i + 1 >= count) continue;  // the rest repeats the last row and is not stored
    if (++at == s.runs.length) {
      at = 0;
      ++run;
    }
  }
  Vec<T> acc[MR][NV];
  multiply<T, NV, MR>(static_cast<const T*>(s.a), rows, steps, pixels, dz, acc);
  T* dw = static_cast<T*>(s.dw);
#pragma GCC unroll 14
  for (int i = 0; i < MR; ++i) {
    if (i >= count) break;
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
      const int lanes = v + 1 < NV ? kLanes : last;
      T* to = dw + out[i] + v * kLanes;
      (Vec<T>::load(to, lanes) + acc[i][v]).store(to, lanes);
    }
  }
}

template <class T, int NV>
void weight(const ConvWeightBlock& s) {
  constexpr int kLanes = Vec<T>::kLanes;
  const T *dy = static_cast<const T*>(s.dy), *y = static_cast<const T*>(s.y);
  T *db = static_cast<T*>(s.db), *dz = static_cast<T*>(s.dz);
  const int last = s.n - (NV - 1) * kLanes;
  const int64_t total = s.pixels.images * s.pixels.rows * s.pixels.cols, depth = s.runs.count * s.runs.length;
  alignas(64) T packed[kChunk * kNv * kLanes];
  int64_t steps[kChunk];
  PixelWalk walk(s.pixels);
  for (int64_t m = 0; m < total; m += kChunk) {
    const int64_t count = total - m < kChunk ? total - m : kChunk;
    Vec<T> sum[NV];
    with_activation(s.activation, [&](auto f) {
      for (int64_t i = 0; i < count; ++i) {
        steps[i] = walk.a;
        for (int v = 0; v < NV; ++v) {
          const int lanes = v + 1 < NV ? kLanes : last;
          const int64_t at = walk.y + v * kLanes;
          Vec<T> d = Vec<T>::load(dy + at, lanes);
          if constexpr (f.value != Activation::none) {
            d = activate_grad<f.value>(d, Vec<T>::load(y + at, lanes));
            if (dz != nullptr) d.store(dz + at, lanes);
          }
          d.store(packed + (i * kNv + v) * kLanes);
          sum[v] += d;
        }
        walk.next();
      }
    });
    for (int v = 0; db != nullptr && v < NV; ++v) {
      const int lanes = v + 1 < NV ? kLanes : last;
      (Vec<T>::load(db + v * kLanes, lanes) + sum[v]).store(db + v * kLanes, lanes);
    }
    int64_t j = 0;
    for (; depth - j > kMrSmall; j += kMr<NV>) {
      const int rows = static_cast<int>(simd_min<int64_t>(kMr<NV>, depth - j));
      weight_tile<T, NV, kMr<NV>>(s, j, rows, steps, count, packed);
    }
    if (j < depth) weight_tile<T, NV, kMrSmall>(s, j, static_cast<int>(depth - j), steps, count, packed);
  }
}

template <class T>
void any_block(const ConvBlock& s) {
  s.n <= Vec<T>::kLanes ? block<T, 1>(s) : block<T, 2>(s);
}
template <class T>
void any_weight(const ConvWeightBlock& s) {
  s.n <= Vec<T>::kLanes ? weight<T, 1>(s) : weight<T, 2>(s);
}

}  // namespace

namespace LAMINA_ROW {
extern const ConvKernels conv_kernels;
const ConvKernels conv_kernels = {kNv * VecF::kLanes, kNv* VecD::kLanes, any_block<float>,
                                  any_block<double>,  any_weight<float>, any_weight<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
