// Register tiles of convolution: MR rows x NV vectors of accumulators over `depth` products, see conv2d_direct.h.
#include "ops/activation.kernel.h"
#include "ops/conv2d_direct.h"
#include "simd/vec.h"

namespace lamina {
namespace {

constexpr int kNv = 2;                          // vectors per panel
constexpr int kMr = kVecBytes == 64 ? 14 : 6;   // 28 + 2 + 1 of 32 registers, or 12 + 2 + 1 of 16
constexpr int kChunk = 256;                     // pixels of the weight gradient per packed piece of dy (<= 32 KB)

// acc[i][v] = sum_k a[rows[i] + steps[k]] * b[k][v]
template <class T, int NV>
LAMINA_INLINE void multiply(const T* a, const int64_t* rows, const int64_t* steps, int64_t depth, const T* b,
                            Vec<T> (&acc)[kMr][NV]) {
  constexpr int kLanes = Vec<T>::kLanes;
  for (int64_t k = 0; k < depth; ++k) {
    const T* p = a + steps[k];
    asm("" : "+r"(p));  // one register: else every row gets an addition of its own
    Vec<T> bk[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) bk[v] = Vec<T>::load(b + v * kLanes);
    b += kNv * kLanes;
#pragma GCC unroll 14
    for (int i = 0; i < kMr; ++i) {
      const Vec<T> x(p[rows[i]]);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = fma(x, bk[v], acc[i][v]);
    }
  }
}

// Walks the pixels of a block in order.
struct PixelWalk {
  const ConvPixels& p;
  int64_t row = 0, col = 0, a = 0, y = 0, a_row = 0, y_row = 0, a_image = 0, y_image = 0;

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

template <class T, int NV>
void block(const ConvBlock& s) {
  constexpr int kLanes = Vec<T>::kLanes;
  const T *a = static_cast<const T*>(s.a), *b = static_cast<const T*>(s.b), *bias_ = static_cast<const T*>(s.bias);
  T* y = static_cast<T*>(s.y);
  const int last = s.n - (NV - 1) * kLanes;  // lanes of the last vector
  Vec<T> bias[NV];
  if (bias_ != nullptr) {
    for (int v = 0; v < NV; ++v) bias[v] = Vec<T>::load(bias_ + v * kLanes, v + 1 < NV ? kLanes : last);
  }
  const int64_t total = s.pixels.images * s.pixels.rows * s.pixels.cols;
  PixelWalk walk{s.pixels};
  for (int64_t m = 0; m < total; m += kMr) {
    int64_t rows[kMr], out[kMr];
    const int count = total - m < kMr ? static_cast<int>(total - m) : kMr;
    for (int i = 0; i < count; ++i) {
      rows[i] = walk.a;
      out[i] = walk.y;
      walk.next();
    }
    for (int i = count; i < kMr; ++i) rows[i] = rows[0];  // computed, not stored
    Vec<T> acc[kMr][NV];
    multiply<T, NV>(a, rows, s.taps, s.depth, b, acc);
    const auto finish = [&](auto f) __attribute__((always_inline)) {
#pragma GCC unroll 14
      for (int i = 0; i < kMr; ++i) {
        if (i >= count) break;
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) {
          const Vec<T> r = activate<f.value>(acc[i][v] + bias[v]);
          r.store(y + out[i] + v * kLanes, v + 1 < NV ? kLanes : last);
        }
      }
    };
    if (s.activation == Activation::none) {
      finish(ActivationTag<Activation::none>{});
    } else if (s.activation == Activation::relu) {
      finish(ActivationTag<Activation::relu>{});
    } else {  // in a loop of its own: unrolled it would be a long way round in the instruction cache
      finish(ActivationTag<Activation::none>{});
      with_activation(s.activation, [&](auto f) {
        for (int i = 0; i < count; ++i) {
          for (int v = 0; v < NV; ++v) {
            T* at = y + out[i] + v * kLanes;
            const int lanes = v + 1 < NV ? kLanes : last;
            activate<f.value>(Vec<T>::load(at, lanes)).store(at, lanes);
          }
        }
      });
    }
  }
}

// Rows of the tile are tap offsets, steps are pixels: dw[k][f] (+)= sum_m a[taps[k] + pixel[m]] * dz[m][f].
template <class T, int NV>
void weight(const ConvWeightBlock& s) {
  constexpr int kLanes = Vec<T>::kLanes;
  const T *a = static_cast<const T*>(s.a), *dy = static_cast<const T*>(s.dy), *y = static_cast<const T*>(s.y);
  T *dw = static_cast<T*>(s.dw), *db = static_cast<T*>(s.db), *dz = static_cast<T*>(s.dz);
  const int last = s.n - (NV - 1) * kLanes;
  const int64_t total = s.pixels.images * s.pixels.rows * s.pixels.cols;
  alignas(64) T packed[kChunk * kNv * kLanes];
  int64_t steps[kChunk];
  PixelWalk walk{s.pixels};
  bool add = s.add;
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
    if (db != nullptr) {
      for (int v = 0; v < NV; ++v) {
        const int lanes = v + 1 < NV ? kLanes : last;
        T* to = db + v * kLanes;
        (add ? Vec<T>::load(to, lanes) + sum[v] : sum[v]).store(to, lanes);
      }
    }
    for (int64_t k = 0; k < s.depth; k += kMr) {
      const int kept = s.depth - k < kMr ? static_cast<int>(s.depth - k) : kMr;
      int64_t rows[kMr];
      for (int i = 0; i < kMr; ++i) rows[i] = s.taps[k + (i < kept ? i : 0)];
      Vec<T> acc[kMr][NV];
      multiply<T, NV>(a, rows, steps, count, packed, acc);
      T* to = dw + k * s.dw_row;
#pragma GCC unroll 14
      for (int i = 0; i < kMr; ++i) {
        if (i >= kept) break;
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) {
          const int lanes = v + 1 < NV ? kLanes : last;
          T* at = to + i * s.dw_row + v * kLanes;
          (add ? Vec<T>::load(at, lanes) + acc[i][v] : acc[i][v]).store(at, lanes);
        }
      }
    }
    add = true;
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
const ConvKernels conv_kernels = {kNv * VecF::kLanes, kNv * VecD::kLanes, any_block<float>,
                                  any_block<double>,  any_weight<float>,  any_weight<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
