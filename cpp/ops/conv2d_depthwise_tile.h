// Depthwise convolutions (conv2d_depthwise.h) with the usual window: 3 x 3, stride 1 or 2, not dilated. The
// gradients of x and w come of one pass over dy.
//
// Work goes by tiles: some rows and columns of one image, all channels. Inside, one vector of channels after
// the other, so that taps, sums and what is open of the outputs stay in registers; meanwhile the next tile is
// asked for, line by line, in the order of memory: beyond L2 it is bytes that count, and only if they never
// wait.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fwd.h"
#include "ops/activation.h"

namespace lamina {

struct ConvJob;
struct ConvEpilogueGrad;

bool is_depthwise_tiled(const ConvJob& job);

// As run_conv_job, without scratch.
void run_depthwise_tiles(const ConvJob& job, DType dtype, const void* x, const void* w, const void* bias,
                         Activation activation, void* y);

// dw, db as run_conv_weight_job, and dx of the same dz; `job` is the forward job, w and dx may be null.
// Partial sums over fixed blocks of tiles are combined in order.
size_t depthwise_grads_scratch(const ConvJob& job, DType dtype);
void run_depthwise_grads(const ConvJob& job, DType dtype, const void* x, const void* w, const void* dy,
                         void* dx, void* dw, const ConvEpilogueGrad& epilogue, void* scratch);

// Rows and columns of outputs, or of cells: cell (m, j) is the stride x stride pixels of x that begin where
// tap (0, 0) of output (m, j) lies, so that outputs (m - 2, j - 2) to (m, j) are all that see it.
struct DepthwiseTile {
  int64_t row, rows, column, columns;
  int64_t ahead_x, ahead_y;  // elements from here to the same place of the next tile
};

// All pointers at the image's first element (w at tap (0, 0)).
struct DepthwiseForward {
  const void *x, *w;
  const void* bias;  // [c] or null
  void* y;
  Activation activation;
};

struct DepthwiseGrads {
  const void *x, *w;                // w null only where dx is
  const void *dy, *y;               // y read where there is an activation
  void* dx;                         // or null
  void *dw, *db;                    // added to: [3][3][c] and [c]; db may be null
  int64_t first_row, first_column;  // of the cells that hold pixels
  Activation activation;
};

struct DepthwiseTileKernels {
  struct Table {
    void (*forward[2])(const ConvJob&, const DepthwiseForward&, const DepthwiseTile&);  // of strides 1, 2
    void (*grads[2])(const ConvJob&, const DepthwiseGrads&, const DepthwiseTile&);
    // to[i] = sum over blocks, in order, of from[block * stride + i], i in [begin, end)
    void (*add_up)(void* to, const void* from, int64_t blocks, int64_t stride, int64_t begin, int64_t end);
    int64_t rows;  // of outputs that forward takes at once
  };
  Table f32, f64;
};

}  // namespace lamina
