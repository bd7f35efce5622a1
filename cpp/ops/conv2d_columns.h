// The input gradient of a convolution with few channels and many filters, through columns: dx gets, for every
// output pixel and row of taps, a run of KW C neighbouring elements,
//
//   columns[pixel][p, q, c] = sum_f dy[pixel, f] w[p, q, c, f]          one matrix product for some images
//   dx[pixel sh + p dh - top, ... + q dw - left, c] += columns          run by run, pixels in order
//
// so that vectors are full where C alone would fill a fraction of one. `job` is the forward job
// (conv2d_direct.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fwd.h"

namespace lamina {

struct ConvJob;

// True if that is the better way; a function of the sizes alone.
bool conv_columns_pay(const ConvJob& job, DType dtype);

size_t conv_columns_scratch(const ConvJob& job, DType dtype);

// dy [N, OH, OW, F], w [KH, KW, C, F], dx [N, H, W, C], all contiguous.
void run_conv_columns(const ConvJob& job, DType dtype, const void* dy, const void* w, void* dx,
                      void* scratch);

// Adds the columns of one image's pixels to its dx.
struct ColumnsArgs {
  const void* columns;  // [oh][ow][kh][kw][c]
  void* dx;             // [h][w][c]
  int64_t h, w, c, oh, ow, kh, kw;
  int64_t stride_h, stride_w, step_h, step_w, top, left;  // as ConvJob
};

struct ColumnsKernels {
  void (*add_f32)(const ColumnsArgs&);
  void (*add_f64)(const ColumnsArgs&);
};

}  // namespace lamina
