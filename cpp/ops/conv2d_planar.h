// Convolution jobs (conv2d_direct.h) and weight gradients with few filters: vectors go along pixels, all
// filters of a pixel are computed at once. A stage of the batch, whole images or a band of rows of one, is
// first turned into planes, zeros around it:
//
//   planes[image][channel][row][pitch],   pitch = ow + (kw - 1) step_w
//   y[p, f] = sum_k planes[p + tap(k)] w[k, f]     neighbours run on from row to row; the last pitch - ow
//                                                  pixels of each are dropped
//   dw[k, f] = sum_p planes[p + tap(k)] dz[f, p]   row by row: what is dropped may be infinite
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fwd.h"
#include "ops/activation.h"

namespace lamina {

struct ConvJob;
struct ConvEpilogueGrad;

// True if vectors of pixels are the better way; a function of the sizes alone.
bool is_planar(const ConvJob& job, DType dtype);
bool is_planar_weight(const ConvJob& job, DType dtype);

// As conv_job_scratch, run_conv_job and so on.
size_t planar_scratch(const ConvJob& job, DType dtype);
void run_planar(const ConvJob& job, DType dtype, const void* source, const void* w, const void* bias,
                Activation activation, void* y, void* scratch);
size_t planar_weight_scratch(const ConvJob& job, DType dtype);
void run_planar_weight(const ConvJob& job, DType dtype, const void* source, const void* dy, void* dw,
                       const ConvEpilogueGrad& epilogue, void* scratch);

// `pixels` neighbours of `channels` each become runs in as many planes.
struct PlanarSplit {
  const void* pixels;
  void* planes;  // first pixel, first channel
  int64_t count, channels;
  int64_t plane;  // elements from one channel to the next
};

// Rows of the same taps, in some images: of every channel's taps those in [first_tap, last_tap).
struct PlanarBlock {
  const void* planes;   // first image, first pixel at tap 0
  const int64_t* taps;  // [channels][channel_taps]
  const void* w;        // [channels][channel_taps][filters]
  const void* bias;     // [filters] or null
  void* y;              // first pixel
  int64_t channels, channel_taps, first_tap, last_tap, filters;
  int64_t images, rows, columns;
  int64_t image, pitch;  // elements in the planes
  int64_t y_image, y_row, y_col;
  Activation activation;
};

// dz = dy * f'(y) of pixels in a row, into planes; sums [filters] of vectors get its sums.
struct PlanarSplitGrad {
  const void *dy, *y;  // [count][filters]; y read where there is an activation
  void* dz;            // written where not null and there is an activation
  void *planes, *sums;
  int64_t count, filters, plane;
  Activation activation;
};

struct PlanarWeightBlock {
  const void* planes;
  const int64_t* taps;
  const void* dz;  // planes [filters][images][rows][columns]
  void* sums;      // [depth][filters] of vectors, added to
  int64_t depth, filters;
  int64_t images, rows, columns;
  int64_t image, pitch, dz_plane;
};

struct PlanarKernels {
  struct Table {
    int64_t lanes, few;  // elements of a vector; most filters
    void (*split)(const PlanarSplit&);
    void (*multiply)(const PlanarBlock&);
    void (*split_grad)(const PlanarSplitGrad&);
    void (*weight)(const PlanarWeightBlock&);
    void (*reduce)(const void* sums, int64_t n, void* to);  // of n vectors the sums, maybe in their place
  };
  Table f32, f64;
};

}  // namespace lamina
