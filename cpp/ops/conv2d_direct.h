// The loops under conv2d and its gradients: implicit matrix multiplication, no im2col.
//
// A job is a correlation over NHWC images with filters packed as panels:
//   y[m, f] = sum_k A(m, k) B[k, f],   A(m, k) = source[pixel offset(m) + tap offset(k)]
// m runs over output pixels, k over (tap row, tap column, channel of the group), f over the group's filters.
// Offsets separate, so one register tile of MR pixels x NR filters serves every stride, dilation and group
// count. Padding costs neither copies nor multiplications by zero: pixels that see the same taps form
// rectangles, each with its own range of taps, and a tile stays within a rectangle. The weight gradient is
// the same product with the sum over pixels: dw[k, f] = sum_m A(m, k) dy[m, f].
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fwd.h"
#include "ops/activation.h"
#include "ops/gemm.h"

namespace lamina {

struct ConvJob {
  int64_t n, h, w, c;          // source images, all channels
  int64_t oh, ow;              // output pixels
  int64_t kh, kw, kc;          // taps, channels per group
  int64_t stride_h, stride_w;  // source rows per output row
  int64_t step_h, step_w;      // source rows per tap
  int64_t top, left;           // source position of output pixel (0, 0), tap (0, 0); negative in the padding
  int64_t groups, fg;          // filters per group
  int64_t y_base, y_image, y_row, y_col;          // output address of a pixel, in elements
  int64_t w_base, w_kh, w_kw, w_k, w_f, w_group;  // filter address, in elements, of any sign
  MatmulPrecision precision;

  int64_t depth() const { return kh * kw * kc; }
};

// Scratch bytes; raises where sizes overflow.
size_t conv_job_scratch(const ConvJob& job, DType dtype);
size_t conv_weight_scratch(const ConvJob& job, DType dtype,
                           bool dz_kept);  // dz is dy, or has a place of its own

// y[m, f] = activation(sum_k A(m, k) w[k, f] + bias[f]); bias may be null.
void run_conv_job(const ConvJob& job, DType dtype, const void* source, const void* w, const void* bias,
                  Activation activation, void* y, void* scratch);

// What the weight gradient computes besides dw; any pointer may be null.
struct ConvEpilogueGrad {
  Activation activation;  // dz = dy * f'(y) takes the place of dy
  const void* y;
  void* dz;
  void* db;  // [groups * fg]: sum of dz over pixels
};

// dw[k, f] = sum_m A(m, k) dz[m, f], contiguous [KH, KW, C / groups, F] (the job's w addresses are unused);
// dy, y and dz are addressed as y of the job. Partial sums over fixed blocks of pixels are combined in order.
void run_conv_weight_job(const ConvJob& job, DType dtype, const void* source, const void* dy, void* dw,
                         const ConvEpilogueGrad& epilogue, void* scratch);

// A rectangle of pixels and where they lie in the source and in the output.
struct ConvPixels {
  int64_t images, rows, cols;
  int64_t a_start, a_image, a_row,
      a_col;  // a_start: source offset of the first pixel at tap 0, maybe negative
  int64_t y_image, y_row, y_col;
};

// The products that its pixels take part in: k in [first + r step, first + r step + length), r < count.
struct ConvRuns {
  int64_t count, first, step, length;
};

struct ConvBlock {
  ConvPixels pixels;
  ConvRuns runs;
  const void* a;        // source, from the group's first channel
  const int64_t* taps;  // [k] tap offsets
  const void* b;        // panel [k][nr]
  const void* bias;     // [n] or null
  void* y;              // output at pixel 0, the panel's first filter
  int n;                // filters in the panel, 1..nr
  Activation activation;
};

struct ConvWeightBlock {
  ConvPixels pixels;
  ConvRuns runs;
  const void* a;
  const int64_t* taps;
  const void* dy;  // as ConvBlock::y, as are y and dz
  const void* y;   // the output, read where there is an activation: dz = dy * f'(y)
  void* dz;        // written where not null and there is an activation
  void* dw;        // added to: [k][n], rows dw_row apart
  int64_t dw_row;
  void* db;  // added to: [n], or null
  int n;
  Activation activation;
};

struct ConvKernels {
  int nr_f32, nr_f64;  // filters per panel
  void (*block_f32)(const ConvBlock&);
  void (*block_f64)(const ConvBlock&);
  void (*weight_f32)(const ConvWeightBlock&);
  void (*weight_f64)(const ConvWeightBlock&);
};

}  // namespace lamina
