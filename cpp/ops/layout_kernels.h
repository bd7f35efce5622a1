// The kernels of layout.h: what moves faster by whole registers than element by element.
#pragma once

#include "base/fwd.h"

namespace lamina {

struct LayoutKernels {
  // y[c * y_stride + r] = x[r * x_stride + c] for r < rows, c < columns; strides in elements.
  using TransposeFn = void (*)(const void* x, int64_t x_stride, int64_t rows, int64_t columns, void* y,
                               int64_t y_stride);
  TransposeFn transpose[4];  // elements of 1, 2, 4, 8 bytes
  // y[i] = x[i] in another type.
  using ConvertFn = void (*)(const void* x, void* y, int64_t n);
  ConvertFn bf16_of_f32, f32_of_bf16, f16_of_f32, f32_of_f16;
  // y[i] = condition[i] ? a[i] : b[i]; steps of a and b are 0 or 1, y may be a or b.
  using WhereFn = void (*)(const uint8_t* condition, const void* a, int64_t a_step, const void* b,
                           int64_t b_step, void* y, int64_t n);
  WhereFn where[4];  // elements of 1, 2, 4, 8 bytes
};

}  // namespace lamina
