// Transposed copies by tiles in registers, conversions of half-precision types, selection.
#include "ops/layout_kernels.h"
#include "simd/transpose.h"

namespace lamina {
namespace {

// kLanes x kLanes, or rows x columns of it at an edge.
template <class T>
LAMINA_INLINE void tile(const T* x, int64_t x_stride, int rows, int columns, T* y, int64_t y_stride) {
  constexpr int kLanes = Vec<T>::kLanes;
  Vec<T> v[kLanes];
  if (rows == kLanes && columns == kLanes) {
    for (int i = 0; i < kLanes; ++i) v[i] = Vec<T>::load(x + i * x_stride);
    transpose(v);
    for (int i = 0; i < kLanes; ++i) v[i].store(y + i * y_stride);
    return;
  }
  for (int i = 0; i < kLanes; ++i) {
    if (i < rows) v[i] = Vec<T>::load(x + i * x_stride, columns);
  }
  transpose(v);
  for (int i = 0; i < kLanes; ++i) {
    if (i < columns) v[i].store(y + i * y_stride, rows);
  }
}

// As few elements in a row, or in a column, as make no tile: 64 of the others at a time.
template <class T>
void transpose_narrow(const T* x, int64_t x_stride, int64_t rows, int64_t columns, T* y, int64_t y_stride) {
  constexpr int64_t kBlock = 64;
  if (columns < rows) {
    for (int64_t r0 = 0; r0 < rows; r0 += kBlock) {
      const int64_t r1 = simd_min(rows, r0 + kBlock);
      for (int64_t c = 0; c < columns; ++c) {
        for (int64_t r = r0; r < r1; ++r) y[c * y_stride + r] = x[r * x_stride + c];
      }
    }
  } else {
    for (int64_t c0 = 0; c0 < columns; c0 += kBlock) {
      const int64_t c1 = simd_min(columns, c0 + kBlock);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = c0; c < c1; ++c) y[c * y_stride + r] = x[r * x_stride + c];
      }
    }
  }
}

// Blocks of a line by a line, so that those of both sides are done with before the next ones, whose lines are
// asked for: no prefetcher follows strides of a page.
template <class T>
void transpose_tiles(const void* x_, int64_t x_stride, int64_t rows, int64_t columns, void* y_,
                     int64_t y_stride) {
  constexpr int kLanes = Vec<T>::kLanes, kLine = 64 / sizeof(T);
  const T* x = static_cast<const T*>(x_);
  T* y = static_cast<T*>(y_);
  if (simd_min(rows, columns) < 8) return transpose_narrow(x, x_stride, rows, columns, y, y_stride);
  for (int64_t r0 = 0; r0 < rows; r0 += kLine) {
    const int64_t r1 = simd_min<int64_t>(rows, r0 + kLine);
    for (int64_t c0 = 0; c0 < columns; c0 += kLine) {
      const int64_t c1 = simd_min<int64_t>(columns, c0 + kLine);
      for (int64_t r = r0; r < r1; ++r) prefetch(x + r * x_stride + c0 + 2 * kLine);
      for (int64_t c = c0; c < c1; ++c) __builtin_prefetch(y + (c + kLine) * y_stride + r0, 1);
      for (int64_t c = c0; c < c1; c += kLanes) {
        for (int64_t r = r0; r < r1; r += kLanes) {
          tile(x + r * x_stride + c, x_stride, lanes_at<T>(r1, r), lanes_at<T>(c1, c), y + c * y_stride + r,
               y_stride);
        }
      }
    }
  }
}

// Types narrower than a lane.
template <class T>
void transpose_elements(const void* x, int64_t x_stride, int64_t rows, int64_t columns, void* y,
                        int64_t y_stride) {
  constexpr int64_t kBlock = 32;
  for (int64_t c = 0; c < columns; c += kBlock) {
    transpose_narrow(static_cast<const T*>(x) + c, x_stride, rows, simd_min(columns - c, kBlock),
                     static_cast<T*>(y) + c * y_stride, y_stride);
  }
}

void bf16_of_f32(const void* x_, void* y_, int64_t n) {
  const float* x = static_cast<const float*>(x_);
  uint16_t* y = static_cast<uint16_t*>(y_);
  along<float>(
      n, [=](int64_t i, int k)
             __attribute__((always_inline)) { store_bf16(y + i, VecF::load(x + i, k), k); });
}
void f32_of_bf16(const void* x_, void* y_, int64_t n) {
  const uint16_t* x = static_cast<const uint16_t*>(x_);
  float* y = static_cast<float*>(y_);
  along<float>(
      n, [=](int64_t i, int k) __attribute__((always_inline)) { load_bf16(x + i, k).store(y + i, k); });
}
void f16_of_f32(const void* x_, void* y_, int64_t n) {
  const float* x = static_cast<const float*>(x_);
  uint16_t* y = static_cast<uint16_t*>(y_);
  along<float>(
      n, [=](int64_t i, int k) __attribute__((always_inline)) {
        // One NaN for all: instructions keep the upper bits of a payload, base/half.h does not.
        const VecF v = VecF::load(x + i, k);
        store_f16(y + i, select(v != v, copysign(VecF(__builtin_nanf("")), v), v), k);
      });
}
void f32_of_f16(const void* x_, void* y_, int64_t n) {
  const uint16_t* x = static_cast<const uint16_t*>(x_);
  float* y = static_cast<float*>(y_);
  along<float>(
      n, [=](int64_t i, int k) __attribute__((always_inline)) {
        const VecF v = load_f16(x + i, k);
        const VecF quiet = bit_cast<float>(bit_cast<int32_t>(v) | VecI(0x400000));
        select(v != v, quiet, v).store(y + i, k);
      });
}

// Without branches, which a random condition would mispredict; y may be a or b, element for element.
template <class T, int64_t kA, int64_t kB>
void where_steps(const uint8_t* condition, const T* a, const T* b, T* y, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const T mask = static_cast<T>(-static_cast<T>(condition[i]));
    y[i] = static_cast<T>(b[i * kB] ^ ((a[i * kA] ^ b[i * kB]) & mask));
  }
}
template <class T>
void where(const uint8_t* condition, const void* a_, int64_t a_step, const void* b_, int64_t b_step, void* y_,
           int64_t n) {
  const T *a = static_cast<const T*>(a_), *b = static_cast<const T*>(b_);
  T* y = static_cast<T*>(y_);
  if (a_step && b_step) return where_steps<T, 1, 1>(condition, a, b, y, n);
  if (a_step) return where_steps<T, 1, 0>(condition, a, b, y, n);
  if (b_step) return where_steps<T, 0, 1>(condition, a, b, y, n);
  where_steps<T, 0, 0>(condition, a, b, y, n);
}

}  // namespace

namespace LAMINA_ROW {
extern const LayoutKernels layout_kernels;
const LayoutKernels layout_kernels = {
    {transpose_elements<uint8_t>, transpose_elements<uint16_t>, transpose_tiles<float>,
     transpose_tiles<double>},
    bf16_of_f32,
    f32_of_bf16,
    f16_of_f32,
    f32_of_f16,
    {where<uint8_t>, where<uint16_t>, where<uint32_t>, where<uint64_t>},
};
}  // namespace LAMINA_ROW
}  // namespace lamina
