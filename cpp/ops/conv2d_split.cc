#include "ops/conv2d_split.h"

#include <algorithm>

#include "base/parallel.h"
#include "ops/conv2d_split_stage.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_OPTIONAL_KERNELS(ConvSplitKernels, conv_split_kernels)

namespace {

using namespace conv_split;

constexpr int64_t kTilePixels = 512, kTileN = 256, kMinTileN = 128, kMinTiles = 8;
constexpr int64_t kBlockUnits = 8;  // of k at a time, where one 32 channels' taps are more than twice as many
constexpr double kFmaCost = 0.0118;  // nanoseconds of a multiply-add by conv2d_direct

int64_t block_units_of(const ConvJob& j) {
  return j.kh * j.kw <= 2 * kBlockUnits ? j.kh * j.kw : kBlockUnits;
}

struct ForwardLayout : Layout {
  int64_t positions;  // of one image: rows of outputs and the ends of rows between them
  int64_t tile_m, tile_n;
  size_t packed_bytes, fits_bytes, total;

  explicit ForwardLayout(const ConvJob& j) : Layout(j, stage_bytes_of(j), 0) {
    positions = (rows - 1) * plane_w + j.ow;
    tile_m = kTilePixels;
    tile_n = std::min(kTileN, round_up(j.fg, kSplitPanel));
    const auto too_few = [&] {
      const int64_t m = images * round_up(positions, kSplitPanel);
      return ceil_div(m, tile_m) * ceil_div(j.fg, tile_n) < kMinTiles;
    };
    while (tile_m > 2 * kSplitPanel && too_few()) tile_m /= 2;
    while (tile_n > kMinTileN && too_few()) tile_n = round_up(tile_n / 2, kSplitPanel);

    packed_bytes = align64(static_cast<size_t>(panels * split_panel_size(parts, units_of(j) * kSplitUnit)) *
                           sizeof(uint16_t));
    fits_bytes = align64(static_cast<size_t>(std::max(panels * units_of(j), split_rows())) * sizeof(bool));
    total = steps_bytes + packed_bytes + fits_bytes + planes_bytes;
  }
};

// Filters as B of gemm_split.h: k runs over (tap row, tap column, channel).
bool pack_filters(const ConvJob& j, const Layout& layout, const float* w, uint16_t* packed, bool* fits) {
  const auto pack = gemm_split_kernels()->pack_b[layout.parts - 1];
  const int64_t block_units = block_units_of(j), units = units_of(j);
  const int64_t unit_size = split_panel_size(layout.parts, kSplitUnit);
  parallel_for(
      layout.panels * units, grain_for(0.2 * kSplitPanel * kSplitUnit), [&](int64_t begin, int64_t end) {
        for (int64_t item = begin; item < end; ++item) {
          const int64_t panel = item / units, unit = item % units, block = unit / block_units * block_units,
                        f = panel * kSplitPanel;
          const int64_t of_block = std::min(block_units, units - block);
          const Unit u(j, unit);
          fits[item] =
              pack({.src = w + j.w_base + u.tap_row * j.w_kh + u.tap_column * j.w_kw + u.channel * j.w_k +
                           f * j.w_f,
                    .dst = packed + (layout.panels * block + panel * of_block + unit - block) * unit_size,
                    .count = std::min(kSplitPanel, j.fg - f),
                    .k = kSplitUnit,
                    .row = j.w_k,
                    .col = j.w_f});
        }
      });
  return all_fit(fits, layout.panels * units);
}

// out[i]: where in y position first + i of an image of the stage lies, or -1; i < count.
void find_outputs(const ConvJob& j, const ForwardLayout& layout, const Stage& stage, int64_t image,
                  int64_t first, int64_t count, int64_t* out) {
  int64_t row = first / layout.plane_w, column = first % layout.plane_w;
  for (int64_t i = 0; i < count; ++i) {
    out[i] = column < j.ow
                 ? (stage.image + image) * j.y_image + (stage.row + row) * j.y_row + column * j.y_col
                 : -1;
    if (++column == layout.plane_w) {
      column = 0;
      ++row;
    }
  }
}

void multiply_stage(const ConvJob& j, const ForwardLayout& layout, const Stage& stage, const uint16_t* planes,
                    const int64_t* steps, const uint16_t* packed, const float* bias, Activation activation,
                    float* y) {
  const auto multiply = conv_split_kernels()->multiply[layout.parts - 1];
  const int64_t positions = (stage.rows - 1) * layout.plane_w + j.ow,
                image_panels = ceil_div(positions, kSplitPanel);
  // Tiles go on from one image into the next: every tile reads all its filters.
  const int64_t panels_m = stage.images * image_panels, tile_panels = layout.tile_m / kSplitPanel;
  const int64_t tiles_m = ceil_div(panels_m, tile_panels), tiles = tiles_m * ceil_div(j.fg, layout.tile_n);
  const double products = layout.parts * (layout.parts + 1) / 2;
  const double cost = kProductCost * products *
                      static_cast<double>(panels_m * kSplitPanel * layout.panels * kSplitPanel * j.depth()) /
                      static_cast<double>(tiles);
  parallel_for(tiles, grain_for(cost), [&](int64_t begin, int64_t end) {
    int64_t out[kTilePixels], starts[kTilePixels / kSplitPanel], counts[kTilePixels / kSplitPanel];
    for (int64_t t = begin; t < end; ++t) {
      const int64_t first_panel = t % tiles_m * tile_panels, f = t / tiles_m * layout.tile_n;
      const int64_t panels = std::min(tile_panels, panels_m - first_panel);
      for (int64_t p = 0; p < panels; ++p) {
        const int64_t image = (first_panel + p) / image_panels,
                      first = (first_panel + p) % image_panels * kSplitPanel;
        starts[p] = (layout.row_at(image, 0, 0) + first) * j.c;
        counts[p] = std::min(kSplitPanel, positions - first);
        find_outputs(j, layout, stage, image, first, counts[p], out + p * kSplitPanel);
      }
      multiply({.planes = planes,
                .starts = starts,
                .counts = counts,
                .panels_m = panels,
                .plane = layout.plane,
                .step = j.c,
                .steps = steps,
                .block_units = block_units_of(j),
                .packed_b = packed,
                .first_panel = f / kSplitPanel,
                .panels = layout.panels,
                .bias = bias ? bias + f : nullptr,
                .y = y + j.y_base + f,
                .out = out,
                .n = std::min(layout.tile_n, j.fg - f),
                .units = units_of(j),
                .activation = activation});
    }
  });
}

}  // namespace

bool conv_splits(const ConvJob& j, DType dtype) {
  if (!may_split(j, dtype)) return false;
  const ForwardLayout layout(j);
  const double images = static_cast<double>(j.n * layout.row_stages), k = static_cast<double>(j.depth());
  const double m = images * static_cast<double>(round_up(layout.positions, 16)),
               n = static_cast<double>(round_up(j.fg, 16));
  const double tiles = kProductCost * layout.parts * (layout.parts + 1) / 2 * m * n * k +
                       kSplitCost * (images * static_cast<double>(layout.image_pixels * j.c) + k * n) +
                       kResultCost * m * n * static_cast<double>(ceil_div(units_of(j), block_units_of(j)));
  return tiles < kFmaCost * multiply_adds(j);
}

size_t conv_split_scratch(const ConvJob& job) { return ForwardLayout(job).total; }

bool run_conv_split(const ConvJob& j, const float* source, const float* w, const float* bias,
                    Activation activation, float* y, void* scratch) {
  const ForwardLayout layout(j);
  char* at = static_cast<char*>(scratch);
  int64_t* steps = reinterpret_cast<int64_t*>(at);
  uint16_t* packed = reinterpret_cast<uint16_t*>(at += layout.steps_bytes);
  bool* fits = reinterpret_cast<bool*>(at += layout.packed_bytes);
  uint16_t* planes = reinterpret_cast<uint16_t*>(at + layout.fits_bytes);

  fill_steps(j, layout, steps);
  if (!pack_filters(j, layout, w, packed, fits)) return false;
  return all_stages(j, layout, [&](const Stage& stage) {
    if (!fill_planes(j, layout, stage, source, planes, fits)) return false;
    multiply_stage(j, layout, stage, planes, steps, packed, bias, activation, y);
    return true;
  });
}

}  // namespace lamina
