// Convolution jobs (conv2d_direct.h) and weight gradients where every channel has one filter of its own:
// vectors go over channels. Any window; the usual ones go by conv2d_depthwise_tile.h.
//
//   y[n,i,j,c] = f(sum_{p,q} x[n, top + i sh + p dh, left + j sw + q dw, c] w[p,q,c] + bias[c])
//   dw[p,q,c]  = sum_{n,i,j} x[...] dz[n,i,j,c]
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fwd.h"
#include "ops/activation.h"

namespace lamina {

struct ConvJob;
struct ConvEpilogueGrad;

// One channel in, one out, neighbours in memory.
bool is_depthwise(const ConvJob& job);

// As run_conv_job, without scratch.
void run_depthwise(const ConvJob& job, DType dtype, const void* source, const void* w, const void* bias,
                   Activation activation, void* y);

// As run_conv_weight_job.
size_t depthwise_weight_scratch(const ConvJob& job, DType dtype);
void run_depthwise_weight(const ConvJob& job, DType dtype, const void* source, const void* dy, void* dw,
                          const ConvEpilogueGrad& epilogue, void* scratch);

// One row of outputs and what it sees: taps of rows outside the image are left out of [first_tap, last_tap).
struct DepthwiseGeometry {
  int64_t row;  // source row of tap row 0
  int64_t first_tap, last_tap;
  int64_t width, c;                         // of the source
  int64_t columns, kw, stride, step, left;  // of outputs; along the row as in ConvJob
  int64_t step_h;
};

struct DepthwiseRow : DepthwiseGeometry {
  const void* source;  // of the image: row 0, column 0
  const void* w;       // tap (0, 0)
  const void* bias;    // [c] or null
  void* y;             // column 0
  int64_t y_col, w_kh, w_kw;
  Activation activation;
};

// What a row of outputs adds to dw [kh][kw][c] and db [c].
struct DepthwiseWeightRow : DepthwiseGeometry {
  const void* source;
  const void *dy, *y;  // column 0; y read where there is an activation
  void* dz;            // written where not null and there is an activation
  void* dw;
  void* db;  // or null
  Activation activation;
};

struct DepthwiseKernels {
  struct Table {
    void (*row)(const DepthwiseRow&);
    void (*weight_row)(const DepthwiseWeightRow&);
  };
  Table f32, f64;
};

}  // namespace lamina
