// What the loops of convolution share (conv2d_direct.h): pixels that see the same taps, and panels of
// filters.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/dtype.h"
#include "base/rounding.h"
#include "ops/conv2d_direct.h"
#include "ops/conv2d_rows.h"

namespace lamina::conv_direct {

const ConvKernels& kernels();
const ConvRowKernels& row_kernels();

inline constexpr int64_t kItems = 16;        // enough to keep cores busy; fewer where the problem is small
inline constexpr int64_t kMostPixels = 256;  // of one kernel call
inline constexpr double kFlopsPerNs = 60;

// a b c d; raises where that does not fit memory.
size_t checked_product(int64_t a, int64_t b, int64_t c, size_t d);

// Outputs in rows [top, bottom), columns [left, right) of some images.
struct PixelRect {
  int64_t image, images, top, bottom, left, right;
  int64_t count() const { return images * (bottom - top) * (right - left); }

  // Pieces of rows of the pixels [begin, end), rows and images in order: body(image, row, column, count).
  template <class Body>
  void for_rows(int64_t begin, int64_t end, Body body) const {
    const int64_t rows = bottom - top, cols = right - left;
    int64_t i = begin / cols / rows, row = begin / cols % rows, col = begin % cols;
    while (begin < end) {
      const int64_t count = std::min(cols - col, end - begin);
      body(image + i, top + row, left + col, count);
      begin += count;
      col = 0;
      if (++row < rows) continue;
      row = 0;
      ++i;
    }
  }
};

// Offsets of (tap row, tap column, channel) from a pixel's source element at tap 0.
inline void fill_taps(const ConvJob& j, int64_t* taps) {
  for (int64_t a = 0; a < j.kh; ++a) {
    for (int64_t b = 0; b < j.kw; ++b) {
      for (int64_t k = 0; k < j.kc; ++k) *taps++ = (a * j.step_h * j.w + b * j.step_w) * j.c + k;
    }
  }
}

// Output positions [begin, end) of one axis that see the same taps [low, high).
struct Span {
  int64_t begin, end, low, high;
};

struct Axis {
  int64_t size, taps, stride, step,
      start;  // source size; source position of (output o, tap t): start + o stride + t step

  int64_t low(int64_t o) const { return std::clamp<int64_t>(ceil_div(-(start + o * stride), step), 0, taps); }
  int64_t high(int64_t o) const {
    return std::clamp<int64_t>(ceil_div(size - start - o * stride, step), 0, taps);
  }
  // Outputs [first, end) that see tap t.
  int64_t first(int64_t t) const { return std::max<int64_t>(ceil_div(-(start + t * step), stride), 0); }
  int64_t end(int64_t t, int64_t outputs) const {
    return std::clamp<int64_t>(ceil_div(size - start - t * step, stride), 0, outputs);
  }
  Span span(int64_t begin, int64_t limit) const {
    Span s{begin, begin + 1, low(begin), high(begin)};
    if (s.low == 0 && s.high == taps) {  // up to the last that sees all
      s.end = std::clamp((size - 1 - start - (taps - 1) * step) / stride + 1, s.end, limit);
      return s;
    }
    while (s.end < limit && low(s.end) == s.low && high(s.end) == s.high) ++s.end;
    return s;
  }
};

// The products of outputs that see the taps of v and h; by row: no run goes on into the next row of taps.
inline ConvRuns runs_of(const ConvJob& j, const Span& v, const Span& h, bool by_row) {
  const int64_t rows = std::max<int64_t>(v.high - v.low, 0), cols = std::max<int64_t>(h.high - h.low, 0);
  const int64_t first = (v.low * j.kw + h.low) * j.kc;
  if (rows * cols == 0) return {0, 0, 0, 1};
  if (cols == j.kw && !by_row) return {1, first, 0, rows * j.kw * j.kc};
  return {rows, first, j.kw * j.kc, cols * j.kc};
}

// body(rectangle, runs) for the pixels of a rectangle that see the same taps.
template <class Body>
void for_alike(const ConvJob& j, const PixelRect& all, bool by_row, Body body) {
  const Axis vertical{j.h, j.kh, j.stride_h, j.step_h, j.top},
      horizontal{j.w, j.kw, j.stride_w, j.step_w, j.left};
  for (Span v{0, all.top, 0, 0}; v.end < all.bottom;) {
    v = vertical.span(v.end, all.bottom);
    for (Span h{0, all.left, 0, 0}; h.end < all.right;) {
      h = horizontal.span(h.end, all.right);
      body(PixelRect{all.image, all.images, v.begin, v.end, h.begin, h.end}, runs_of(j, v, h, by_row));
    }
  }
}

// Source offset of an output at tap 0.
inline int64_t source_at(const ConvJob& j, int64_t image, int64_t row, int64_t col) {
  return ((image * j.h + j.top + row * j.stride_h) * j.w + j.left + col * j.stride_w) * j.c;
}

// Offsets of some pixels in the source and elsewhere.
struct PixelList {
  int64_t count = 0, pixels[kMostPixels + kConvAhead] = {}, outs[kMostPixels];

  void add(int64_t n, int64_t pixel, int64_t pixel_step, int64_t out, int64_t out_step) {
    fill(pixels + count, n, pixel, pixel_step);
    fill(outs + count, n, out, out_step);
    count += n;
  }
  static void fill(int64_t* to, int64_t n, int64_t first, int64_t step) {
    for (int64_t i = 0; i < n; ++i, first += step) to[i] = first;
  }
};

struct Panels {
  int64_t nr, per_group, count;
  Panels(const ConvJob& j, DType dtype)
      : nr(dtype == DType::kFloat32 ? kernels().nr_f32 : kernels().nr_f64),
        per_group(ceil_div(j.fg, nr)),
        count(per_group * j.groups) {}
  int64_t group(int64_t panel) const { return panel / per_group; }
  int64_t first(int64_t panel) const { return panel % per_group * nr; }  // filter within the group
  int64_t filter(const ConvJob& j, int64_t panel) const { return group(panel) * j.fg + first(panel); }
};

// Groups of panels: shared out only where units alone are fewer than the items wanted.
inline int64_t share_panels(int64_t panels, int64_t units, int64_t items) {
  const int64_t groups =
      std::clamp<int64_t>(ceil_div(items, std::max<int64_t>(units, 1)), 1, std::max<int64_t>(panels, 1));
  return ceil_div(panels, ceil_div(panels, groups));
}

// Pixels of a piece (conv2d_rows.h) at most; 0 where the job is not taken by pieces.
int64_t most_of_piece(const ConvJob& job, DType dtype);
// Whether the weight gradient is taken by rows (conv2d_rows.h).
bool takes_row_weights(const ConvJob& job, DType dtype);

// Pieces of the full rows [top, bottom) of `all`, no more than `pixels` at a time: body(block, k) without
// what depends on the panel, k the first of their products.
template <class Body>
void for_pieces(const ConvJob& j, const PixelRect& all, int64_t most, int64_t pixels, Body body) {
  const Axis vertical{j.h, j.kh, j.stride_h, j.step_h, j.top};
  const int64_t right = j.ow + j.kw - 1 - j.w + j.left;  // columns past the image
  int64_t starts[kMostPixels / kLeastPiece + 1], outs[kMostPixels / kLeastPiece];
  // Cut evenly, or with a narrow last piece, of which tiles take two.
  const int64_t pieces = ceil_div(j.ow, most), before = j.ow - most / 2;
  const bool last_narrow = pieces > 1 && before <= (pieces - 1) * most;
  const auto column = [&](int64_t piece) {
    if (!last_narrow) return j.ow * piece / pieces;
    return piece < pieces ? before * piece / (pieces - 1) : j.ow;
  };
  ConvRowBlock block{};
  block.starts = starts;
  block.outs = outs;
  block.pixel = j.c;
  block.tap_row = j.step_h * j.w * j.c;
  block.out = j.y_col;
  block.taps = j.kw;
  block.kc = j.kc;
  for (Span v{0, all.top, 0, 0}; v.end < all.bottom;) {
    v = vertical.span(v.end, all.bottom);
    const int64_t height = v.end - v.begin, rows = all.images * height;
    block.tap_rows = std::max<int64_t>(v.high - v.low, 0);
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const int64_t first = column(piece), width = column(piece + 1) - first;
      block.width = static_cast<int>(width);
      block.left = piece == 0 ? static_cast<int>(-j.left) : 0;
      block.right = piece + 1 == pieces ? static_cast<int>(std::max<int64_t>(right, 0)) : 0;
      block.stream = ceil_div(width + j.kw - 1, std::max<int64_t>(block.tap_rows, 1));
      const int64_t each = pixels / width / 2 * 2;
      for (int64_t r0 = 0; r0 < rows; r0 += each) {
        block.count = std::min(each, rows - r0);
        for (int64_t i = 0; i <= block.count; ++i) {
          const int64_t row = std::min(r0 + i, rows - 1);
          const int64_t image = all.image + row / height, y = v.begin + row % height;
          starts[i] = source_at(j, image, y, first);
          if (i < block.count) outs[i] = j.y_base + image * j.y_image + y * j.y_row + first * j.y_col;
        }
        body(block, v.low * j.kw * j.kc);
      }
    }
  }
}

// Products whose source elements are neighbours, of pixels that see `cols` columns of taps.
inline int64_t segment_of(const ConvJob& j, int64_t cols) {
  return j.step_w == 1 && j.kc == j.c ? cols * j.kc : j.kc;
}

// As run_conv_weight_job, by multiply-adds.
size_t weight_scratch(const ConvJob& job, DType dtype);
void run_weight(const ConvJob& job, DType dtype, const void* source, const void* dy, void* dw,
                const ConvEpilogueGrad& epilogue, void* scratch);

}  // namespace lamina::conv_direct
