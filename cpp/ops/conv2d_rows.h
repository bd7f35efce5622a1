// Convolution jobs (conv2d_direct.h) whose outputs step along a row as their taps do (stride and dilation 1
// there): a source element in a register meets the filters of all KW taps of a row,
//
//   y[q - b, f] += x[q, k] w[b, k, f]     b < KW, q = 0 .. width + KW - 2, for each row of taps and channel k
//
// so that a tile of 12 pixels by 2 vectors loads 14 + 6 times for 72 multiply-adds of 3 taps, where one of 14
// pixels and one tap loads 16 times for 28. The weight gradient likewise,
//
//   dw[b, k, f] += x[q, k] dz[q - b, f]     for all q of a row, b < KW where q - b is an output
//
// where dz of KW neighbours stays in registers while q goes on: 4 channels by 3 taps by 2 vectors load 4 + 2
// times for 24 multiply-adds.
#pragma once

#include <cstdint>

#include "ops/conv2d_direct.h"

namespace lamina {

inline constexpr int kMostRowTaps = 5, kLeastPiece = 4;  // pixels

// Pieces of rows of outputs, all of one width and from one column, that see the same rows of taps, and one
// panel of filters of more than one vector.
struct ConvRowBlock {
  const void* a;  // source, float32, from the group's first channel, at the first row of taps
  // [count + 1] source offset of the first pixel's first tap, maybe outside; past the last any
  const int64_t* starts;
  const int64_t* outs;  // [count] where the first pixel's filters begin in y
  int64_t count;
  int64_t pixel, tap_row, out;  // distances: neighbours and rows of taps in the source, neighbours in y
  int64_t taps, tap_rows, kc;   // KW, rows of taps, channels of the group
  const void* b;                // panel [tap_rows][KW][kc][nr]
  int width, left, right;       // pixels; columns of the source that lie outside of the image, below KW
  int64_t stream;  // elements of the source to ask for beside each channel, for the next pieces; or 0
  ConvResult result;
};

// Rows of outputs, one row of taps, and one panel of filters of more than one vector.
struct ConvRowWeights {
  const void* a;               // source, float32, from the first of `channels`
  const int64_t* rows;         // [count] source offset of each row's first column
  const int64_t* outs;         // [count] where the row of outputs begins in dz
  int64_t count;               // may be 0: nothing is added
  int64_t pixel, w, ow, left;  // source elements and columns, columns of outputs, of padding on the left
  int64_t taps, channels;
  const void* dz;  // packed [ow][nr], ow >= taps
  void* dw;        // of the first tap and channel: [channels][n], rows dw_row apart, taps dw_tap
  int64_t dw_row, dw_tap;
  int n;
  bool add;  // to dw, or else it is overwritten
};

struct ConvRowKernels {
  int most[kMostRowTaps + 1];  // pixels of a piece, by KW; 0 where there is no tile
  void (*block)(const ConvRowBlock&);
  void (*weight)(const ConvRowWeights&);  // of 3 or 5 taps, where there are tiles
};

}  // namespace lamina
