// The loops under conv2d and its gradients: implicit matrix multiplication, no im2col.
//
// A job is a correlation over NHWC images with filters packed as panels:
//   y[m, f] = sum_k A(m, k) B[k, f],   A(m, k) = source[pixel offset(m) + tap offset(k)]
// m runs over output pixels, k over (tap row, tap column, channel of the group), f over the group's filters.
// Offsets separate, so one register tile of MR pixels x NR filters serves every stride, dilation and group
// count. Padding costs neither copies nor multiplications by zero: pixels that see the same taps form
// rectangles, each with its own range of taps; a tile takes any pixels of a rectangle, listed by their
// offsets; where taps of a row share what they load, conv2d_rows.h. Every y is one chain over k, however the
// work is cut. The weight gradient is the same product with the sum over pixels,
// dw[k, f] = sum_m A(m, k) dy[m, f]: tap by tap over all pixels that see it, k in the rows of a tile.
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
  int64_t threads;  // that scratch was made for

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
// dy, y and dz are contiguous [N, OH, OW, F]. Partial sums over fixed blocks of pixels are combined in order.
void run_conv_weight_job(const ConvJob& job, DType dtype, const void* source, const void* dy, void* dw,
                         const ConvEpilogueGrad& epilogue, void* scratch);

// Products k in [first + r step, first + r step + length), r < count.
struct ConvRuns {
  int64_t count, first, step, length;
};

// What becomes of the sums of one panel of filters.
struct ConvResult {
  const void* bias;  // [n] or null
  void* y;           // the panel's first filter
  int n;             // filters in the panel, 1..nr
  Activation activation;
  bool past_caches;  // y, float32, is written past the caches: whole lines; activation none or relu
};

// Pixels that see the same taps, and one panel of filters.
struct ConvBlock {
  const void* a;          // source, from the group's first channel
  const int64_t* pixels;  // [count + 1] source offset of each at tap 0, maybe negative; past the last any
  const int64_t* outs;    // [count] where its filters begin in y
  int64_t count;
  ConvRuns runs;
  const int64_t* taps;  // [k] tap offsets
  int64_t segment;      // products whose source elements are neighbours; divides the runs
  const void* b;        // panel [k][nr]
  int64_t stream;       // elements of the source to ask for beside each product, for the next pixels; or 0
  ConvResult result;
};

// Pixels that memory is asked for ahead; past the last one their offsets may be any inside of it.
inline constexpr int kConvAhead = 12;

// dz = dy * f'(y) of some pixels, packed [count][nr]; db gets its sums.
struct ConvGradPack {
  const void *dy, *y;   // the panel's first filter; y read where there is an activation
  void* dz;             // as dy; written where not null and there is an activation
  const int64_t* outs;  // [count] where a pixel's filters begin in all three
  int64_t count;
  void* packed;
  void* db;  // [n], added to; or null
  int n;     // filters in the panel, 1..nr
  Activation activation;
};

// Pixels and the products that all of them take part in.
struct ConvWeightBlock {
  const void* a;          // source, from the group's first channel
  const int64_t* pixels;  // [count + kConvAhead] source offset of each at tap 0, maybe negative
  const int64_t* rows;    // [count] where its dz is in `dz`, in elements
  int64_t count;          // may be 0: nothing is added
  bool in_order;          // rows[i] is i nr
  ConvRuns runs;
  const int64_t* taps;  // [k] tap offsets
  bool dense;           // the products of a run are neighbours in the source
  bool add;             // to dw, or else it is overwritten
  const void* dz;
  void* dw;  // [k][n], rows dw_row apart
  int64_t dw_row;
  int n;
};

struct ConvKernels {
  int nr_f32, nr_f64;  // filters per panel
  void (*block_f32)(const ConvBlock&);
  void (*block_f64)(const ConvBlock&);
  void (*pack_grad_f32)(const ConvGradPack&);
  void (*pack_grad_f64)(const ConvGradPack&);
  void (*weight_f32)(const ConvWeightBlock&);
  void (*weight_f64)(const ConvWeightBlock&);
};

}  // namespace lamina
