#include "ops/conv2d_split.h"

#include <algorithm>
#include <array>

#include "base/parallel.h"
#include "base/slots.h"
#include "ops/conv2d_split_stage.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_OPTIONAL_KERNELS(ConvSplitKernels, conv_split_kernels)

namespace {

using namespace conv_split;

// Of a tile: where filters are split for it, it should be large.
constexpr int64_t kPackedTilePixels = 512, kTilePixels = 2048, kMinTileN = 128;
constexpr int64_t kMostTimes = 2;         // that filters are split again
constexpr int64_t kThreadTiles = 4;       // for each thread, so that they balance
constexpr int64_t kBlockUnits = 8;        // of k at a time, about
constexpr size_t kPackedBytes = 1 << 20;  // split filters that stay in L2
constexpr double kFmaCost = 0.0118;       // nanoseconds of a multiply-add by conv2d_direct

// Whole taps of 32 channels, so that these stay in L1.
int64_t block_units_of(const ConvJob& j, bool gathered) {
  const int64_t taps = j.kh * j.kw;
  if (gathered) return kGatheredUnits;
  if (taps > 2 * kBlockUnits) return kBlockUnits;
  return std::max<int64_t>(kBlockUnits / taps, 1) * taps;
}

struct ForwardLayout : Layout {
  int64_t positions;  // of one image: rows of outputs and the ends of rows between them
  bool gathered;      // panels hold outputs alone
  bool packed;        // filters are split once; else for every tile, block by block
  int64_t block_units;
  size_t packed_bytes, fits_bytes, total;

  // A share of a job is gathered as the whole is, which fixes the bits.
  explicit ForwardLayout(const ConvJob& j, const ForwardLayout* whole = nullptr)
      : Layout(j, stage_bytes_of(j), 0) {
    positions = (rows - 1) * plane_w + j.ow;
    gathered = whole ? whole->gathered : gathering_pays(j);
    block_units = block_units_of(j, gathered);
    packed_bytes = align64(static_cast<size_t>(panels * split_panel_size(parts, units_of(j) * kSplitUnit)) *
                           sizeof(uint16_t));
    const int64_t times = image_stages * row_stages * ceil_div(images * rows * j.ow, kTilePixels);
    packed = !gathered || packed_bytes <= kPackedBytes || times > kMostTimes;
    if (!packed) packed_bytes = steps_bytes;
    const int64_t tiles = ceil_div(images * rows * j.ow, kSplitPanel) * panels;
    fits_bytes =
        align64(static_cast<size_t>(std::max({panels * units_of(j), split_rows(), tiles})) * sizeof(bool));
    total = steps_bytes + packed_bytes + fits_bytes + planes_bytes;
  }
  // Rows of tiles for one image, or for all of a stage's together where they are gathered.
  double tile_rows(const ConvJob& j) const {
    return static_cast<double>(j.n * row_stages) *
           static_cast<double>(gathered ? rows * j.ow : round_up(positions, kTileRows));
  }

 private:
  static constexpr int64_t kTileRows = 16;
  // Copying a panel's rows takes a third of the products with 32 filters.
  bool gathering_pays(const ConvJob& j) const {
    const double all = static_cast<double>(round_up(positions, kTileRows)),
                 outputs = static_cast<double>(rows * j.ow);
    return all / outputs > 1.05 + 0.3 / static_cast<double>(panels);
  }
};

// A job cut into shares of the images for threads that split sources and filters for themselves: what one
// core has just written reaches another at a fraction of the rate at which it is read where it was written.
struct Shares {
  static constexpr int64_t kMost = 16;
  int64_t threads, count = 1;

  Shares(const ConvJob& j, const ForwardLayout& whole)
      : threads(j.threads), products_(products_cost(j, whole.parts)) {
    if (threads == 1 || threads > kMost / 2 || j.n < threads || products_ < 2 * kGrainCost) return;
    const double again = kSplitCost * static_cast<double>(j.depth() * j.fg);  // in each share: its filters
    if (again > kMostAgain * products_ / static_cast<double>(threads)) return;
    count = threads;
    if (j.n >= 4 * threads && again < kLittleAgain * products_) count *= 2;
  }
  double cost() const { return products_ / static_cast<double>(count); }
  // Images of a share.
  int64_t begin(const ConvJob& j, int64_t share) const { return ceil_div(share * j.n, count); }
  ConvJob job(const ConvJob& j, int64_t share) const {
    ConvJob part = j;
    part.n = begin(j, share + 1) - begin(j, share);
    return part;
  }

 private:
  static constexpr double kMostAgain = 0.35, kLittleAgain = 0.02;  // of the products
  double products_;
};

// [unit]: where in w its first filter begins.
void fill_filter_steps(const ConvJob& j, int64_t* steps) {
  for (int64_t unit = 0; unit < units_of(j); ++unit) {
    const Unit u(j, unit);
    steps[unit] = j.w_base + u.tap_row * j.w_kh + u.tap_column * j.w_kw + u.channel * j.w_k;
  }
}

// Filters as B of gemm_split.h: k runs over (tap row, tap column, channel).
bool pack_filters(const ConvJob& j, const ForwardLayout& layout, const float* w, uint16_t* packed,
                  bool* fits) {
  const auto pack = gemm_split_kernels()->pack_b[layout.parts - 1];
  const int64_t block_units = layout.block_units, units = units_of(j);
  const int64_t unit_size = split_panel_size(layout.parts, kSplitUnit);
  const int64_t taps = j.kh * j.kw, channels = j.kc / kSplitUnit, panels = layout.panels;
  // In the order of memory: tap by tap, and there what lies side by side.
  parallel_for(panels * units, grain_for(0.2 * kSplitPanel * kSplitUnit), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t tap = item / (panels * channels), i = item % (panels * channels);
      const int64_t panel = j.w_f == 1 ? i % panels : i / channels,
                    unit = (j.w_f == 1 ? i / panels : i % channels) * taps + tap;
      const int64_t block = unit / block_units * block_units, f = panel * kSplitPanel;
      const int64_t of_block = std::min(block_units, units - block);
      const Unit u(j, unit);
      fits[item] = pack(
          {.src = w + j.w_base + u.tap_row * j.w_kh + u.tap_column * j.w_kw + u.channel * j.w_k + f * j.w_f,
           .dst = packed + (layout.panels * block + panel * of_block + unit - block) * unit_size,
           .count = std::min(kSplitPanel, j.fg - f),
           .k = kSplitUnit,
           .row = j.w_k,
           .col = j.w_f});
    }
  });
  return all_fit(fits, layout.panels * units);
}

// out[i]: where in y position first + i of an image of the stage lies, or -1, and, where it is given,
// windows[i]: where in the planes; i < count. The images follow one another where positions go on.
void find_outputs(const ConvJob& j, const ForwardLayout& layout, const Stage& stage, int64_t image,
                  int64_t first, int64_t count, int64_t* out, int64_t* windows) {
  const int64_t width = layout.gathered ? j.ow : layout.plane_w;
  int64_t row = first / width, column = first % width;
  image += row / stage.rows;
  row %= stage.rows;
  for (int64_t i = 0; i < count; ++i) {
    out[i] = column < j.ow
                 ? (stage.image + image) * j.y_image + (stage.row + row) * j.y_row + column * j.y_col
                 : -1;
    if (windows) windows[i] = layout.position_at(image, 0, row, column);
    if (++column < width) continue;
    column = 0;
    if (++row < stage.rows) continue;
    row = 0;
    ++image;
  }
}

// How a stage's outputs are cut into tiles. Bits do not depend on it, so it may depend on the threads: each
// tile reads all its filters, or splits them, so one thread wants large tiles, and more of them rather share
// out filters than split the same ones.
struct Tiles {
  int64_t m, n;  // panels of positions, filters

  Tiles(const ConvJob& j, int64_t panels_m, bool packed)
      : m((packed ? kPackedTilePixels : kTilePixels) / kSplitPanel),
        n(std::min(kSplitTileN, round_up(j.fg, kSplitPanel))) {
    const int64_t threads = in_parallel() ? 1 : num_threads();
    if (threads == 1) return;
    const auto too_few = [&] { return ceil_div(panels_m, m) * ceil_div(j.fg, n) < kThreadTiles * threads; };
    const auto fewer_filters = [&] {
      while (n > kMinTileN && too_few()) n = round_up(n / 2, kSplitPanel);
    };
    if (!packed) fewer_filters();
    while (m > (packed ? 2 : 16) && too_few()) m /= 2;
    fewer_filters();
  }
};

bool multiply_stage(const ConvJob& j, const ForwardLayout& layout, const Stage& stage, const Stage& after,
                    const float* source, const uint16_t* planes, const int64_t* steps, const float* w,
                    const void* filters, const float* bias, Activation activation, float* y, bool* fits) {
  const auto multiply = conv_split_kernels()->multiply[layout.parts - 1];
  const int64_t positions =
      layout.gathered ? stage.images * stage.rows * j.ow : (stage.rows - 1) * layout.plane_w + j.ow;
  const int64_t image_panels = ceil_div(positions, kSplitPanel);
  // Tiles go on from one image into the next: every tile reads all its filters.
  const int64_t panels_m = layout.gathered ? image_panels : stage.images * image_panels;
  const Tiles tile(j, panels_m, layout.packed);
  const int64_t tiles_m = ceil_div(panels_m, tile.m), tiles = tiles_m * ceil_div(j.fg, tile.n);
  const double products = layout.parts * (layout.parts + 1) / 2;
  const double cost = kProductCost * products *
                      static_cast<double>(panels_m * kSplitPanel * layout.panels * kSplitPanel * j.depth()) /
                      static_cast<double>(tiles);
  parallel_for(tiles, grain_for(cost), [&](int64_t begin, int64_t end) {
    int64_t out[kTilePixels], windows[kTilePixels];
    int64_t starts[kTilePixels / kSplitPanel], counts[kTilePixels / kSplitPanel];
    for (int64_t t = begin; t < end; ++t) {
      const int64_t first_panel = t % tiles_m * tile.m, f = t / tiles_m * tile.n;
      const int64_t panels = std::min(tile.m, panels_m - first_panel);
      for (int64_t p = 0; p < panels; ++p) {
        const int64_t image = (first_panel + p) / image_panels,
                      first = (first_panel + p) % image_panels * kSplitPanel;
        starts[p] = layout.position_at(image, 0, 0, first);
        counts[p] = std::min(kSplitPanel, positions - first);
        find_outputs(j, layout, stage, image, first, counts[p], out + p * kSplitPanel,
                     layout.gathered ? windows + p * kSplitPanel : nullptr);
      }
      fits[t] = multiply({.planes = planes,
                          .starts = starts,
                          .counts = counts,
                          .panels_m = panels,
                          .plane = layout.plane,
                          .steps = steps,
                          .windows = layout.gathered ? windows : nullptr,
                          .block_units = layout.block_units,
                          .packed_b = layout.packed ? static_cast<const uint16_t*>(filters) : nullptr,
                          .first_panel = f / kSplitPanel,
                          .panels = layout.panels,
                          .w = w + f * j.w_f,
                          .filter_steps = static_cast<const int64_t*>(filters),
                          .w_k = j.w_k,
                          .w_f = j.w_f,
                          .bias = bias ? bias + f : nullptr,
                          .y = y + j.y_base + f,
                          .out = out,
                          .n = std::min(tile.n, j.fg - f),
                          .units = units_of(j),
                          .activation = activation,
                          .ahead = source_ahead(j, layout, after, source, t, tiles)});
    }
  });
  return all_fit(fits, tiles);
}

}  // namespace

bool conv_splits(const ConvJob& j, DType dtype) {
  if (!may_split(j, dtype)) return false;
  const ForwardLayout layout(j);
  const double images = static_cast<double>(j.n * layout.row_stages), k = static_cast<double>(j.depth());
  const double m = layout.tile_rows(j), n = static_cast<double>(round_up(j.fg, 16));
  const double tiles = kProductCost * layout.parts * (layout.parts + 1) / 2 * m * n * k +
                       kSplitCost * (images * static_cast<double>(layout.image_pixels * j.c) + k * n) +
                       kResultCost * m * n * static_cast<double>(ceil_div(units_of(j), layout.block_units));
  return tiles < kFmaCost * multiply_adds(j);
}

namespace {

// Of the first share, the largest.
size_t share_bytes(const ConvJob& j, const ForwardLayout& whole, const Shares& shares) {
  return align64(ForwardLayout(shares.job(j, 0), &whole).total);
}

bool run_share(const ConvJob& j, const ForwardLayout& layout, const float* source, const float* w,
               const float* bias, Activation activation, float* y, void* scratch) {
  char* at = static_cast<char*>(scratch);
  int64_t* steps = reinterpret_cast<int64_t*>(at);
  void* filters = at += layout.steps_bytes;
  bool* fits = reinterpret_cast<bool*>(at += layout.packed_bytes);
  uint16_t* planes = reinterpret_cast<uint16_t*>(at + layout.fits_bytes);

  fill_steps(j, layout, steps);
  if (!layout.packed) {
    fill_filter_steps(j, static_cast<int64_t*>(filters));
  } else if (!pack_filters(j, layout, w, static_cast<uint16_t*>(filters), fits)) {
    return false;
  }
  return all_stages(j, layout, 0, j.n, [&](const Stage& stage, const Stage& after) {
    return fill_planes(j, layout, stage, source, planes, fits) &&
           multiply_stage(j, layout, stage, after, source, planes, steps, w, filters, bias, activation, y,
                          fits);
  });
}

}  // namespace

size_t conv_split_scratch(const ConvJob& j) {
  const ForwardLayout whole(j);
  const Shares shares(j, whole);
  if (shares.count == 1) return whole.total;
  return std::max(whole.total, static_cast<size_t>(shares.threads) * share_bytes(j, whole, shares));
}

bool run_conv_split(const ConvJob& j, const float* source, const float* w, const float* bias,
                    Activation activation, float* y, void* scratch) {
  const ForwardLayout whole(j);
  const Shares shares(j, whole);
  if (shares.count == 1 || num_threads() != shares.threads || in_parallel())
    return run_share(j, whole, source, w, bias, activation, y, scratch);
  std::array<bool, Shares::kMost> good{};
  Slots slots(scratch, share_bytes(j, whole, shares), shares.threads);
  parallel_for(shares.count, grain_for(shares.cost()), [&](int64_t begin, int64_t end) {
    const Slots::Slot slot(slots);
    for (int64_t share = begin; share < end; ++share) {
      const ConvJob part = shares.job(j, share);
      const int64_t image = shares.begin(j, share);
      good[static_cast<size_t>(share)] =
          run_share(part, ForwardLayout(part, &whole), source + image * j.h * j.w * j.c, w, bias, activation,
                    y + image * j.y_image, slot.data());
    }
  });
  return all_fit(good.data(), shares.count);
}

}  // namespace lamina
