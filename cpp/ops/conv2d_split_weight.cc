#include <algorithm>

#include "base/dtype.h"
#include "base/parallel.h"
#include "ops/conv2d_grad.h"
#include "ops/conv2d_split.h"
#include "ops/conv2d_split_stage.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_OPTIONAL_KERNELS(ConvSplitWeightKernels, conv_split_weight_kernels)

namespace {

using namespace conv_split;

// Nanoseconds: pairing pixels, for each element of A; a multiply-add by conv2d_direct.
constexpr double kPairCost = 0.1, kFmaCost = 0.014;
// Split dz of the filters that go through all of k together: stays in L2.
constexpr int64_t kGroupBytes = 768 << 10;

// Of a weight gradient, after the planes.
struct WeightLayout {
  Layout layout;
  int64_t pixels, k, group;  // of a stage; rows of dw; filters that go through all of k together
  size_t windows_bytes, dz_bytes, packed_bytes, sums_bytes, fits_bytes, total;

  // dz_kept: the caller keeps dz, or it is dy; else a stage has one of its own.
  WeightLayout(const ConvJob& j, bool dz_kept)
      : layout(j, stage_bytes_of(j), j.ow * j.fg * (2 * split_parts(j.precision) + 4)) {
    pixels = layout.images * layout.rows * j.ow;
    k = j.depth();
    const int64_t most = std::clamp(kGroupBytes / split_panel_size(layout.parts, pixels) / 2, int64_t{2},
                                    kSplitGroup / kSplitPanel);
    group = ceil_div(layout.panels, ceil_div(layout.panels, most)) * kSplitPanel;
    const auto floats = [](int64_t n) { return align64(static_cast<size_t>(n) * sizeof(float)); };
    windows_bytes = align64(static_cast<size_t>(pixels) * sizeof(int64_t));
    dz_bytes = dz_kept ? 0 : floats(pixels * j.fg);
    packed_bytes = align64(static_cast<size_t>(layout.panels * split_panel_size(layout.parts, pixels)) *
                           sizeof(uint16_t));
    sums_bytes = floats(ceil_div(pixels, kGradRows) * j.fg);
    fits_bytes = align64(static_cast<size_t>(std::max(ceil_div(pixels, kSplitUnit), layout.split_rows())) *
                         sizeof(bool));
    total = 2 * layout.steps_bytes + layout.planes_bytes + windows_bytes + dz_bytes + packed_bytes +
            sums_bytes + fits_bytes;
  }
};

// [unit]: its first row of dw.
void fill_rows(const ConvJob& j, int64_t* rows) {
  for (int64_t unit = 0; unit < units_of(j); ++unit) {
    const Unit u(j, unit);
    rows[unit] = (u.tap_row * j.kw + u.tap_column) * j.kc + u.channel;
  }
}

// Where the window of each pixel of the stage begins in the planes.
void fill_windows(const ConvJob& j, const Layout& layout, const Stage& stage, int64_t* windows) {
  for (int64_t image = 0; image < stage.images; ++image) {
    for (int64_t row = 0; row < stage.rows; ++row) {
      for (int64_t i = 0; i < j.ow; ++i) *windows++ = layout.position_at(image, 0, row, i);
    }
  }
}

// dz^T: blocks of split_block_pixels, each [panel of filters]; made in the order of dz's memory.
bool pack_dz(const ConvJob& j, const WeightLayout& l, const float* dz, int64_t pixels, uint16_t* packed,
             bool* fits) {
  const int parts = l.layout.parts;
  const auto pack = conv_split_weight_kernels()->pack_dz[parts - 1];
  const int64_t panels = l.layout.panels, units = ceil_div(pixels, kSplitUnit);
  const int64_t block_pixels = split_block_pixels(pixels);
  parallel_for(units, grain_for(0.25 * static_cast<double>(panels * kSplitPanel * kSplitUnit)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t unit = begin; unit < end; ++unit) {
                   const int64_t first = unit * kSplitUnit, block = first / block_pixels * block_pixels;
                   const int64_t panel_size = split_panel_size(parts, std::min(block_pixels, pixels - block));
                   uint16_t* to = packed + panels * split_panel_size(parts, block) +
                                  split_panel_size(parts, first - block);
                   fits[unit] = true;
                   for (int64_t panel = 0; panel < panels; ++panel, to += panel_size) {
                     const int64_t f = panel * kSplitPanel;
                     const bool good = pack(dz + first * j.fg + f, j.fg, std::min(kSplitPanel, j.fg - f),
                                            std::min(kSplitUnit, pixels - first), to);
                     fits[unit] = fits[unit] && good;
                   }
                 }
               });
  return all_fit(fits, units);
}

}  // namespace

bool conv_weight_splits(const ConvJob& j, DType dtype) {
  if (!may_split(j, dtype) || j.y_base != 0 || j.y_col != j.fg || j.y_row != j.ow * j.fg ||
      j.y_image != j.oh * j.y_row)
    return false;
  const WeightLayout l(j, true);
  const double pixels = static_cast<double>(j.n * j.oh * j.ow), k = static_cast<double>(l.k),
               f = static_cast<double>(j.fg);
  const double images = static_cast<double>(j.n * l.layout.row_stages);
  const double tiles = kProductCost * l.layout.parts * (l.layout.parts + 1) / 2 * pixels *
                           static_cast<double>(round_up(j.fg, 16)) * k +
                       kSplitCost * (images * static_cast<double>(l.layout.image_pixels * j.c) + pixels * f) +
                       kPairCost * pixels * k * static_cast<double>(ceil_div(j.fg, l.group)) +
                       kResultCost * k * f * (1 + pixels / 128);
  return tiles < kFmaCost * multiply_adds(j);
}

size_t conv_split_weight_scratch(const ConvJob& job, bool dz_kept) {
  return WeightLayout(job, dz_kept).total;
}

bool run_conv_split_weight(const ConvJob& j, const float* source, const float* dy, float* dw,
                           const ConvEpilogueGrad& e, void* scratch) {
  const WeightLayout l(j, e.activation == Activation::none || e.dz);
  const Layout& layout = l.layout;
  char* at = static_cast<char*>(scratch);
  const auto next = [&](size_t bytes) {
    char* p = at;
    at += bytes;
    return static_cast<void*>(p);
  };
  auto* steps = static_cast<int64_t*>(next(layout.steps_bytes));
  auto* planes = static_cast<uint16_t*>(next(layout.planes_bytes));
  auto* rows = static_cast<int64_t*>(next(layout.steps_bytes));
  auto* windows = static_cast<int64_t*>(next(l.windows_bytes));
  auto* dz_temporary = static_cast<float*>(next(l.dz_bytes));
  auto* packed = static_cast<uint16_t*>(next(l.packed_bytes));
  auto* sums = static_cast<float*>(next(l.sums_bytes));
  auto* fits = static_cast<bool*>(next(l.fits_bytes));

  fill_steps(j, layout, steps);
  fill_rows(j, rows);
  const auto weight = conv_split_weight_kernels()->weight[layout.parts - 1];
  return all_stages(j, layout, [&](const Stage& stage, const Stage&) {
    const int64_t pixels = stage.images * stage.rows * j.ow;
    if (!fill_planes(j, layout, stage, source, planes, fits)) return false;
    const auto* dz = static_cast<const float*>(conv_dz(
        e, DType::kFloat32, dy, (stage.image * j.oh + stage.row) * j.ow, pixels, j.fg, dz_temporary, sums));
    if (!pack_dz(j, l, dz, pixels, packed, fits)) return false;
    fill_windows(j, layout, stage, windows);
    const double products = layout.parts * (layout.parts + 1) / 2;
    const int64_t units = units_of(j), group = std::min(l.group, j.fg);
    const double cost = kProductCost * products * static_cast<double>(kSplitUnit * pixels * group);
    parallel_for(units * ceil_div(j.fg, group), grain_for(cost), [&](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end;) {
        const int64_t unit = item % units, f = item / units * group;
        const int64_t count = std::min(end - item, units - unit);
        weight({.planes = planes,
                .plane = layout.plane,
                .windows = windows,
                .units = count,
                .steps = steps + unit,
                .rows = rows + unit,
                .packed_a = packed,
                .first_panel = f / kSplitPanel,
                .panels = layout.panels,
                .dw = dw + f,
                .dw_row = j.fg,
                .filters = std::min(group, j.fg - f),
                .pixels = pixels,
                .accumulate = stage.image + stage.row > 0});
        item += count;
      }
    });
    return true;
  });
}

}  // namespace lamina
