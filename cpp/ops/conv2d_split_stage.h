// What convolutions on tiles share (conv2d_split.h): how a job is cut into stages, and a stage's planes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/rounding.h"
#include "ops/conv2d_direct.h"
#include "ops/conv2d_split.h"
#include "ops/gemm_split.h"

namespace lamina::conv_split {

// Nanoseconds, as in gemm_split.cc: a multiply-add of one product of parts, splitting an element, storing a
// result.
inline constexpr double kProductCost = 0.00075, kSplitCost = 0.35, kResultCost = 0.1;

inline double products_cost(const ConvJob& j, int parts) {
  return kProductCost * parts * (parts + 1) / 2 * static_cast<double>(j.n * j.oh * j.ow) *
         static_cast<double>(round_up(j.fg, 16) * j.depth());
}

inline int64_t units_of(const ConvJob& j) { return j.kh * j.kw * (j.kc / kSplitUnit); }

// Unit of k: channels outside, taps inside, so that the window of 32 channels stays in L1.
struct Unit {
  int64_t tap_row, tap_column, channel;
  Unit(const ConvJob& j, int64_t unit)
      : tap_row(unit % (j.kh * j.kw) / j.kw),
        tap_column(unit % j.kw),
        channel(unit / (j.kh * j.kw) * kSplitUnit) {}
};

// How a job is cut; a function of its sizes alone. Where the stride is s, the rows and columns of an image
// that are r modulo s make a plane of their own, phase r, so that neighbouring outputs always see neighbours.
struct Layout {
  int parts;
  int64_t images, rows;  // of output, per stage: several whole images, or rows of one
  int64_t image_stages, row_stages;
  int64_t phases_h, phases_w;    // that taps see
  int64_t plane_h, plane_w;      // of one image and phase
  int64_t image_pixels;          // of all phases
  int64_t channel_plane, plane;  // elements of 32 channels of one part of a stage, of one part
  int64_t panels;                // of filters
  size_t steps_bytes, planes_bytes;

  static constexpr int64_t kStageBytes = 1 << 20;

  // other_row_bytes: what the stage holds besides, for each row of outputs, kStageBytes at most.
  Layout(const ConvJob& j, int64_t stage_bytes, int64_t other_row_bytes) : parts(split_parts(j.precision)) {
    const int64_t reach_h = (j.kh - 1) * j.step_h, reach_w = (j.kw - 1) * j.step_w;
    phases_h = std::min(j.stride_h, reach_h + 1);
    phases_w = std::min(j.stride_w, reach_w + 1);
    plane_w = j.ow + reach_w / j.stride_w;
    const int64_t row_bytes =
        phases_h * phases_w * plane_w * j.c * parts * static_cast<int64_t>(sizeof(uint16_t));
    const int64_t more_rows = reach_h / j.stride_h;
    const auto fit = [&](int64_t per_row, int64_t more, int64_t other) {
      return std::min(stage_bytes / std::max<int64_t>(per_row + more + other, 1),
                      kStageBytes / std::max<int64_t>(other, 1));
    };
    images =
        std::clamp<int64_t>(fit(j.oh * row_bytes, more_rows * row_bytes, j.oh * other_row_bytes), 1, j.n);
    image_stages = ceil_div(j.n, images);
    images = ceil_div(j.n, image_stages);
    rows = j.oh;
    if (images == 1) rows = std::clamp<int64_t>(fit(row_bytes, 0, other_row_bytes) - more_rows, 1, j.oh);
    row_stages = ceil_div(j.oh, rows);
    rows = ceil_div(j.oh, row_stages);
    plane_h = rows + more_rows;
    image_pixels = phases_h * phases_w * plane_h * plane_w;
    channel_plane = images * image_pixels * kSplitUnit;
    plane = channel_plane * (j.c / kSplitUnit);

    panels = ceil_div(j.fg, kSplitPanel);

    const int64_t past =
        kSplitPanel * kSplitUnit;  // what the last panel loads behind its last position, and drops
    steps_bytes = align64(static_cast<size_t>(units_of(j)) * sizeof(int64_t));
    planes_bytes = align64(static_cast<size_t>(plane * parts + past) * sizeof(uint16_t));
  }
  int64_t split_rows() const { return images * phases_h * plane_h; }
  // Element where a position in the plane of a phase lies, its first 32 channels.
  int64_t position_at(int64_t image, int64_t phase, int64_t row, int64_t column) const {
    return (image * image_pixels + (phase * plane_h + row) * plane_w + column) * kSplitUnit;
  }
};

// Every stage goes through all filters, or all of dw: large ones want large stages.
inline int64_t stage_bytes_of(const ConvJob& j) {
  const auto bytes = static_cast<int64_t>(sizeof(float)) * j.depth() * j.fg;
  return std::clamp(bytes, Layout::kStageBytes, 4 * Layout::kStageBytes);
}

// One stage: output rows [row, row + rows) of the images [image, image + images).
struct Stage {
  int64_t image, images, row, rows;
};

// body(stage, the one after it, which has no images at the end) one after another, from those of [image,
// end), until one gives false.
template <class Body>
bool all_stages(const ConvJob& j, const Layout& layout, int64_t image, int64_t end, const Body& body) {
  const auto stage_at = [&](int64_t first, int64_t row) {
    return Stage{first, std::clamp<int64_t>(end - first, 0, layout.images), row,
                 std::min(layout.rows, j.oh - row)};
  };
  Stage stage = stage_at(image, 0);
  while (stage.images > 0) {
    const bool below = stage.row + stage.rows < j.oh;
    const Stage next =
        below ? stage_at(stage.image, stage.row + stage.rows) : stage_at(stage.image + stage.images, 0);
    if (!body(stage, next)) return false;
    stage = next;
  }
  return true;
}

// Of item i of `items`: its share of a stage's source, as much as L2 has room for; none beside large filters,
// or where taps leave some of it out.
ConvSplitAhead source_ahead(const ConvJob& j, const Layout& layout, const Stage& stage, const float* source,
                            int64_t i, int64_t items);

inline bool all_fit(const bool* fits, int64_t count) {
  return std::all_of(fits, fits + count, [](bool fit) { return fit; });
}

// Rows and columns of the source that outputs see, zeros where they lie outside. False if an element must not
// be split.
bool fill_planes(const ConvJob& j, const Layout& layout, const Stage& stage, const float* source,
                 uint16_t* planes, bool* fits);

// steps[unit]: from a window to 32 channels of one tap.
void fill_steps(const ConvJob& j, const Layout& layout, int64_t* steps);

// Multiply-adds of a job as conv2d_direct does it, which leaves out what meets zeros around the image.
double multiply_adds(const ConvJob& j);

// What forward and weight gradient need alike.
bool may_split(const ConvJob& j, DType dtype);

}  // namespace lamina::conv_split

namespace lamina {

// Null where the machine has no tiles.
const ConvSplitKernels* conv_split_kernels();

}  // namespace lamina
