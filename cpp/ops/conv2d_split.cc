#include "ops/conv2d_split.h"

#include <algorithm>

#include "base/dtype.h"
#include "base/error.h"
#include "base/parallel.h"
#include "ops/conv2d_direct.h"
#include "ops/dispatch.h"
#include "ops/gemm_split.h"

namespace lamina {

LAMINA_OPTIONAL_KERNELS(ConvSplitKernels, conv_split_kernels)

namespace {

constexpr int64_t kStageBytes = 2 << 20;  // planes of one stage
constexpr int64_t kTilePixels = 256, kTileN = 512, kMinTileN = 128, kMinTiles = 8;

// Nanoseconds, as in gemm_split.cc.
constexpr double kProductCost = 0.00075, kSplitCost = 0.35, kPairCost = 0.1, kResultCost = 0.1,
                 kFmaCost = 0.0118, kFmaWeightCost = 0.014;
constexpr int64_t kBlockUnits = 8;  // of k at a time, where one 32 channels' taps are more than twice as many

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
size_t align64(size_t n) { return (n + 63) & ~size_t{63}; }

int64_t units_of(const ConvJob& j) { return j.kh * j.kw * (j.kc / kSplitUnit); }

int64_t block_units_of(const ConvJob& j) {
  return j.kh * j.kw <= 2 * kBlockUnits ? j.kh * j.kw : kBlockUnits;
}

// Unit of k: channels outside, taps inside, so that the window of 32 channels stays in L1.
struct Unit {
  int64_t tap_row, tap_column, channel;
  Unit(const ConvJob& j, int64_t unit)
      : tap_row(unit % (j.kh * j.kw) / j.kw),
        tap_column(unit % j.kw),
        channel(unit / (j.kh * j.kw) * kSplitUnit) {}
};

// How a job is cut; a function of its sizes alone.
struct Layout {
  int parts;
  int64_t images, rows;  // of output, per stage: several whole images, or rows of one
  int64_t image_stages, row_stages;
  int64_t plane_h, plane_w, plane;  // of one image; elements of one part of a stage
  int64_t positions;                // of one image: rows of outputs and the ends of rows between them
  int64_t tile_m, tile_n, panels;
  size_t steps_bytes, packed_bytes, fits_bytes, planes_bytes, total;

  // other_row_bytes: what the stage holds besides, for each row of the planes.
  explicit Layout(const ConvJob& j, int64_t other_row_bytes = 0) : parts(split_parts(j.precision)) {
    plane_w = (j.ow - 1) * j.stride_w + (j.kw - 1) * j.step_w + 1;
    const auto height = [&](int64_t out) { return (out - 1) * j.stride_h + (j.kh - 1) * j.step_h + 1; };
    const int64_t row_bytes =
        plane_w * j.c * parts * static_cast<int64_t>(sizeof(uint16_t)) + other_row_bytes;
    images = std::clamp<int64_t>(kStageBytes / (height(j.oh) * row_bytes), 1, j.n);
    image_stages = ceil_div(j.n, images);
    images = ceil_div(j.n, image_stages);
    rows = j.oh;
    if (images == 1) {
      const int64_t fit = kStageBytes / row_bytes - height(1);
      rows = std::clamp<int64_t>(fit / j.stride_h + 1, 1, j.oh);
    }
    row_stages = ceil_div(j.oh, rows);
    rows = ceil_div(j.oh, row_stages);
    plane_h = height(rows);
    plane = images * plane_h * plane_w * j.c;

    positions = (rows - 1) * plane_w + j.ow;
    tile_m = kTilePixels;
    tile_n = std::min(kTileN, round_up(j.fg, kSplitPanel));
    const auto too_few = [&] {
      return images * ceil_div(positions, tile_m) * ceil_div(j.fg, tile_n) < kMinTiles;
    };
    while (tile_m > 2 * kSplitPanel && too_few()) tile_m /= 2;
    while (tile_n > kMinTileN && too_few()) tile_n = round_up(tile_n / 2, kSplitPanel);
    panels = ceil_div(j.fg, kSplitPanel);

    steps_bytes = align64(static_cast<size_t>(units_of(j)) * sizeof(int64_t));
    packed_bytes = align64(static_cast<size_t>(panels * split_panel_size(parts, units_of(j) * kSplitUnit)) *
                           sizeof(uint16_t));
    fits_bytes =
        align64(static_cast<size_t>(std::max(panels * units_of(j), images * plane_h)) * sizeof(bool));
    const int64_t past =
        kSplitPanel * j.stride_w * j.c;  // what the last panel loads behind the last position, and drops
    planes_bytes = align64(static_cast<size_t>(plane * parts + past) * sizeof(uint16_t));
    total = steps_bytes + packed_bytes + fits_bytes + planes_bytes;
  }
};

bool all_fit(const bool* fits, int64_t count) {
  return std::all_of(fits, fits + count, [](bool fit) { return fit; });
}

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

// One stage: output rows [row, row + rows) of the images [image, image + images).
struct Stage {
  int64_t image, images, row, rows;
};

// Rows and columns of the source that outputs see, zeros where they lie outside.
bool fill_planes(const ConvJob& j, const Layout& layout, const Stage& stage, const float* source,
                 uint16_t* planes, bool* fits) {
  const auto split = conv_split_kernels()->split[layout.parts - 1];
  const int64_t top = j.top + stage.row * j.stride_h, c = j.c, height = layout.plane_h,
                width = layout.plane_w;
  const int64_t left = std::clamp<int64_t>(-j.left, 0, width);         // columns of zeros
  const int64_t end = std::clamp<int64_t>(j.w - j.left, left, width);  // and where they begin again
  const double cost = kSplitCost * static_cast<double>(width * c);
  parallel_for(stage.images * height, grain_for(cost), [&](int64_t begin, int64_t stop) {
    for (int64_t r = begin; r < stop; ++r) {
      const int64_t image = r / height, h = top + r % height;
      uint16_t* to = planes + r * width * c;
      const bool inside = h >= 0 && h < j.h;
      const int64_t from = inside ? left : width, until = inside ? end : width;
      for (int p = 0; p < layout.parts; ++p) {
        std::fill_n(to + p * layout.plane, from * c, uint16_t{0});
        std::fill_n(to + p * layout.plane + until * c, (width - until) * c, uint16_t{0});
      }
      const float* row = source + ((stage.image + image) * j.h + h) * j.w * c;
      fits[r] =
          from >= until || split(row + (j.left + from) * c, (until - from) * c, to + from * c, layout.plane);
    }
  });
  return all_fit(fits, stage.images * height);
}

// Where the window of the stage's pixel i begins in the planes.
int64_t window(const ConvJob& j, const Layout& layout, const Stage& stage, int64_t i) {
  const int64_t column = i % j.ow, line = i / j.ow, row = line % stage.rows, image = line / stage.rows;
  return ((image * layout.plane_h + row * j.stride_h) * layout.plane_w + column * j.stride_w) * j.c;
}

// body(stage) one after another until one gives false.
template <class Body>
bool all_stages(const ConvJob& j, const Layout& layout, const Body& body) {
  for (int64_t image = 0; image < j.n; image += layout.images) {
    for (int64_t row = 0; row < j.oh; row += layout.rows) {
      if (!body(Stage{image, std::min(layout.images, j.n - image), row, std::min(layout.rows, j.oh - row)}))
        return false;
    }
  }
  return true;
}

// steps[unit]: from a window to 32 channels of one tap.
void fill_steps(const ConvJob& j, const Layout& layout, int64_t* steps) {
  for (int64_t unit = 0; unit < units_of(j); ++unit) {
    const Unit u(j, unit);
    steps[unit] = (u.tap_row * j.step_h * layout.plane_w + u.tap_column * j.step_w) * j.c + u.channel;
  }
}

void multiply_stage(const ConvJob& j, const Layout& layout, const Stage& stage, const uint16_t* planes,
                    const int64_t* steps, const uint16_t* packed, const float* bias, Activation activation,
                    float* y) {
  const auto multiply = conv_split_kernels()->multiply[layout.parts - 1];
  const int64_t positions = (stage.rows - 1) * layout.plane_w + j.ow,
                per_image = ceil_div(positions, layout.tile_m);
  const int64_t tiles_m = stage.images * per_image, tiles = tiles_m * ceil_div(j.fg, layout.tile_n);
  const double products = layout.parts * (layout.parts + 1) / 2;
  const double cost =
      kProductCost * products * static_cast<double>(layout.tile_m * layout.tile_n * j.depth());
  parallel_for(tiles, grain_for(cost), [&](int64_t begin, int64_t end) {
    int64_t out[kTilePixels];
    for (int64_t t = begin; t < end; ++t) {
      const int64_t image = t % tiles_m / per_image, first = t % per_image * layout.tile_m,
                    f = t / tiles_m * layout.tile_n;
      const int64_t m = std::min(layout.tile_m, positions - first);
      int64_t row = first / layout.plane_w, column = first % layout.plane_w;
      for (int64_t i = 0; i < m; ++i) {
        out[i] = column < j.ow
                     ? (stage.image + image) * j.y_image + (stage.row + row) * j.y_row + column * j.y_col
                     : -1;
        if (++column == layout.plane_w) {
          column = 0;
          ++row;
        }
      }
      const int64_t step = j.stride_w * j.c;
      multiply({.planes = planes + image * layout.plane_h * layout.plane_w * j.c + first * step,
                .plane = layout.plane,
                .step = step,
                .steps = steps,
                .block_units = block_units_of(j),
                .packed_b = packed,
                .first_panel = f / kSplitPanel,
                .panels = layout.panels,
                .bias = bias ? bias + f : nullptr,
                .y = y + j.y_base + f,
                .out = out,
                .m = m,
                .n = std::min(layout.tile_n, j.fg - f),
                .units = units_of(j),
                .activation = activation});
    }
  });
}

// Of a job as conv2d_direct does it, which leaves out what meets zeros around the image.
double multiply_adds(const ConvJob& j) {
  const auto taps = [](int64_t out, int64_t taps, int64_t size, int64_t start, int64_t stride, int64_t step) {
    int64_t inside = 0;
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t at = start + o * stride + t * step;
        inside += at >= 0 && at < size;
      }
    }
    return static_cast<double>(inside);
  };
  return static_cast<double>(j.n * j.kc * j.fg) * taps(j.oh, j.kh, j.h, j.top, j.stride_h, j.step_h) *
         taps(j.ow, j.kw, j.w, j.left, j.stride_w, j.step_w);
}

bool may_split(const ConvJob& j, DType dtype) {
  return conv_split_kernels() && dtype == DType::kFloat32 && split_parts(j.precision) > 0 && j.groups == 1 &&
         j.kc % kSplitUnit == 0 && j.fg >= 8 && j.depth() > 0 && j.n * j.oh * j.ow > 0;
}

}  // namespace

bool conv_splits(const ConvJob& j, DType dtype) {
  if (!may_split(j, dtype) || j.stride_w != j.stride_h) return false;
  const Layout layout(j);
  const double images = static_cast<double>(j.n * layout.row_stages), k = static_cast<double>(j.depth());
  const double m = images * static_cast<double>(round_up(layout.positions, 16)),
               n = static_cast<double>(round_up(j.fg, 16));
  const double tiles =
      kProductCost * layout.parts * (layout.parts + 1) / 2 * m * n * k +
      kSplitCost * (images * static_cast<double>(layout.plane_h * layout.plane_w * j.c) + k * n) +
      kResultCost * m * n * static_cast<double>(ceil_div(units_of(j), block_units_of(j)));
  return tiles < kFmaCost * multiply_adds(j);
}

size_t conv_split_scratch(const ConvJob& job) { return Layout(job).total; }

bool run_conv_split(const ConvJob& j, const float* source, const float* w, const float* bias,
                    Activation activation, float* y, void* scratch) {
  const Layout layout(j);
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

namespace {

constexpr int64_t kSumRows = 256;  // pixels of one partial sum of db

// Of a weight gradient, after the planes.
struct WeightLayout {
  Layout layout;
  int64_t pixels, k, blocks;  // of a stage; rows of dw; partial sums of db
  size_t rows_bytes, dz_bytes, packed_bytes, sums_bytes, dw_bytes, fits_bytes, total;

  explicit WeightLayout(const ConvJob& j)
      : layout(j, j.ow * j.fg * (2 * split_parts(j.precision) + 4) / std::max<int64_t>(j.stride_h, 1)) {
    pixels = layout.images * layout.rows * j.ow;
    k = j.depth();
    blocks = ceil_div(pixels, kSumRows);
    const auto floats = [](int64_t n) { return align64(static_cast<size_t>(n) * sizeof(float)); };
    rows_bytes = align64(static_cast<size_t>(pixels) * sizeof(int64_t));
    dz_bytes = floats(pixels * j.fg);
    packed_bytes = align64(static_cast<size_t>(layout.panels * split_panel_size(layout.parts, pixels)) *
                           sizeof(uint16_t));
    sums_bytes = floats(blocks * j.fg);
    dw_bytes = floats(k * j.fg);
    const int64_t dz_fits = layout.panels * ceil_div(pixels, gemm_split_kernels()->block_k);
    fits_bytes =
        align64(static_cast<size_t>(std::max(dz_fits, layout.images * layout.plane_h)) * sizeof(bool));
    total = layout.steps_bytes + layout.planes_bytes + rows_bytes + dz_bytes + packed_bytes + sums_bytes +
            dw_bytes + fits_bytes;
  }
};

// The stage's dz, computed where there is an activation, and db += its sum over pixels.
const float* dz_of_stage(const ConvJob& j, const Stage& stage, const float* dy, const ConvEpilogueGrad& e,
                         float* temporary, float* sums) {
  const int64_t at = j.y_base + stage.image * j.y_image + stage.row * j.y_row, f = j.fg;
  const bool active = e.activation != Activation::none;
  if (!active && !e.db) return dy + at;
  const GemmTypeKernels& kernels = gemm_kernels_of(DType::kFloat32);
  const float* y = active ? static_cast<const float*>(e.y) + at : nullptr;
  float* dz = !active ? nullptr : e.dz ? static_cast<float*>(e.dz) + at : temporary;
  const int64_t pixels = stage.images * stage.rows * j.ow, blocks = ceil_div(pixels, kSumRows);
  parallel_for(blocks, grain_for(0.3 * static_cast<double>(kSumRows * f)), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t i = block * kSumRows * f;
      kernels.grad(e.activation, dy + at + i, y ? y + i : nullptr, dz ? dz + i : nullptr, sums + block * f,
                   std::min(kSumRows, pixels - block * kSumRows), f);
    }
  });
  if (e.db) kernels.combine(sums, f, blocks, e.db, f, stage.image + stage.row > 0);
  return dz ? dz : dy + at;
}

bool pack_dz(const ConvJob& j, const WeightLayout& l, const float* dz, int64_t pixels, uint16_t* packed,
             bool* fits) {
  const auto pack = conv_split_kernels()->pack_dz[l.layout.parts - 1];
  const int64_t block_k = gemm_split_kernels()->block_k, panels = l.layout.panels,
                blocks = ceil_div(pixels, block_k);
  parallel_for(panels * blocks, grain_for(0.25 * static_cast<double>(kSplitPanel * block_k)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t item = begin; item < end; ++item) {
                   const int64_t block = item / panels, panel = item % panels, first = block * block_k,
                                 f = panel * kSplitPanel;
                   const int64_t count = std::min(block_k, pixels - first);
                   uint16_t* to = packed + panels * split_panel_size(l.layout.parts, first) +
                                  panel * split_panel_size(l.layout.parts, count);
                   fits[item] = pack(dz + first * j.fg + f, j.fg, std::min(kSplitPanel, j.fg - f), count, to);
                 }
               });
  return all_fit(fits, panels * blocks);
}

}  // namespace

bool conv_weight_splits(const ConvJob& j, DType dtype) {
  if (!may_split(j, dtype) || j.y_base != 0 || j.y_col != j.fg || j.y_row != j.ow * j.fg ||
      j.y_image != j.oh * j.y_row)
    return false;
  const WeightLayout l(j);
  const double pixels = static_cast<double>(j.n * j.oh * j.ow), k = static_cast<double>(l.k),
               f = static_cast<double>(j.fg);
  const double images = static_cast<double>(j.n * l.layout.row_stages);
  const double tiles =
      kProductCost * l.layout.parts * (l.layout.parts + 1) / 2 * pixels *
          static_cast<double>(round_up(j.fg, 16)) * k +
      kSplitCost * (images * static_cast<double>(l.layout.plane_h * l.layout.plane_w * j.c) + pixels * f) +
      kPairCost * pixels * k + kResultCost * k * f * (1 + pixels / 128);
  return tiles < kFmaWeightCost * multiply_adds(j);
}

size_t conv_split_weight_scratch(const ConvJob& job) { return WeightLayout(job).total; }

bool run_conv_split_weight(const ConvJob& j, const float* source, const float* dy, float* dw,
                           const ConvEpilogueGrad& e, void* scratch) {
  const WeightLayout l(j);
  const Layout& layout = l.layout;
  char* at = static_cast<char*>(scratch);
  const auto next = [&](size_t bytes) {
    char* p = at;
    at += bytes;
    return static_cast<void*>(p);
  };
  auto* steps = static_cast<int64_t*>(next(layout.steps_bytes));
  auto* planes = static_cast<uint16_t*>(next(layout.planes_bytes));
  auto* rows = static_cast<int64_t*>(next(l.rows_bytes));
  auto* dz_temporary = static_cast<float*>(next(l.dz_bytes));
  auto* packed = static_cast<uint16_t*>(next(l.packed_bytes));
  auto* sums = static_cast<float*>(next(l.sums_bytes));
  auto* turned = static_cast<float*>(next(l.dw_bytes));
  auto* fits = static_cast<bool*>(next(l.fits_bytes));

  fill_steps(j, layout, steps);
  const auto weight = conv_split_kernels()->weight[layout.parts - 1];
  const bool done = all_stages(j, layout, [&](const Stage& stage) {
    const int64_t pixels = stage.images * stage.rows * j.ow;
    if (!fill_planes(j, layout, stage, source, planes, fits)) return false;
    const float* dz = dz_of_stage(j, stage, dy, e, dz_temporary, sums);
    if (!pack_dz(j, l, dz, pixels, packed, fits)) return false;
    for (int64_t i = 0; i < pixels; ++i) rows[i] = window(j, layout, stage, i);
    const double products = layout.parts * (layout.parts + 1) / 2;
    const double cost = kProductCost * products * static_cast<double>(kSplitUnit * pixels * j.fg);
    parallel_for(units_of(j), grain_for(cost), [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const Unit u(j, unit);
        weight({.planes = planes,
                .plane = layout.plane,
                .rows = rows,
                .step = steps[unit],
                .packed_a = packed,
                .dw = turned + (u.tap_row * j.kw + u.tap_column) * j.kc + u.channel,
                .dw_row = l.k,
                .filters = j.fg,
                .pixels = pixels,
                .accumulate = stage.image + stage.row > 0});
      }
    });
    return true;
  });
  if (!done) return false;
  constexpr int64_t kSquare = 16;  // both sides stay in L1
  parallel_for(ceil_div(l.k, kSquare), grain_for(static_cast<double>(kSquare * j.fg)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t k = begin * kSquare; k < std::min(l.k, end * kSquare); ++k) {
                   for (int64_t f = 0; f < j.fg; ++f) dw[k * j.fg + f] = turned[f * l.k + k];
                 }
               });
  return true;
}

}  // namespace lamina
