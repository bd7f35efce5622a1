#include <algorithm>
#include <array>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/slots.h"
#include "ops/conv2d_grad.h"
#include "ops/conv2d_split.h"
#include "ops/conv2d_split_stage.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"

namespace lamina {

LAMINA_OPTIONAL_KERNELS(ConvSplitWeightKernels, conv_split_weight_kernels)

namespace {

using namespace conv_split;

// Nanoseconds: pairing pixels, for each element of A; a multiply-add by conv2d_direct.
constexpr double kPairCost = 0.1, kFmaCost = 0.014;
// Split dz of the filters that go through all of k together: stays in L2.
constexpr int64_t kGroupBytes = 768 << 10;
// Shares of the images that threads sum by themselves: where dw is small, what is beside the products is
// much, and a stage that threads divide moves its planes and dz from core to core. Adding a share to dw costs
// kShareCost nanoseconds an element and at most kShareWork of the products.
constexpr int64_t kMaxShares = 8, kShareBytes = 2 << 20;
constexpr double kShareCost = 0.13, kShareWork = 0.03;

// Of a weight gradient. A slot holds what one stage needs; the shares' sums of dw and db follow them.
struct WeightLayout {
  Layout layout;
  int64_t pixels, k, group;  // of a stage; rows of dw; filters that go through all of k together
  int64_t shares;            // of the images, each with a sum of its own
  size_t windows_bytes, dz_bytes, packed_bytes, sums_bytes, fits_bytes, slot_bytes;
  size_t dw_bytes, db_bytes, total;

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
    slot_bytes = layout.planes_bytes + windows_bytes + dz_bytes + packed_bytes + sums_bytes + fits_bytes;
    shares = shares_of(j);
    dw_bytes = floats(k * j.fg);
    db_bytes = floats(j.fg);
    total = 2 * layout.steps_bytes + static_cast<size_t>(shares) * slot_bytes +
            static_cast<size_t>(shares - 1) * (dw_bytes + db_bytes);
  }
  // First image of a share.
  int64_t share_image(const ConvJob& j, int64_t share) const {
    return std::min(share * layout.image_stages / shares * layout.images, j.n);
  }

 private:
  // A power of two, so that threads have as many.
  int64_t shares_of(const ConvJob& j) const {
    const int64_t size = k * j.fg, item = sizeof(float);
    const double most = kShareWork / kShareCost * products_cost(j, layout.parts) / static_cast<double>(size);
    int64_t count = 1;
    while (2 * count <= std::min(kMaxShares, layout.image_stages) && 2 * count * size * item <= kShareBytes &&
           static_cast<double>(2 * count) <= most) {
      count *= 2;
    }
    return count;
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

// Adds the gradient of the images [image, end) to dw and e.db, which it begins.
bool sum_images(const ConvJob& j, const WeightLayout& l, int64_t image, int64_t end, const float* source,
                const float* dy, float* dw, const ConvEpilogueGrad& e, const int64_t* steps,
                const int64_t* rows, char* slot) {
  const Layout& layout = l.layout;
  const auto next = [&](size_t bytes) {
    char* p = slot;
    slot += bytes;
    return static_cast<void*>(p);
  };
  auto* planes = static_cast<uint16_t*>(next(layout.planes_bytes));
  auto* windows = static_cast<int64_t*>(next(l.windows_bytes));
  auto* dz_temporary = static_cast<float*>(next(l.dz_bytes));
  auto* packed = static_cast<uint16_t*>(next(l.packed_bytes));
  auto* sums = static_cast<float*>(next(l.sums_bytes));
  auto* fits = static_cast<bool*>(next(l.fits_bytes));

  const auto weight = conv_split_weight_kernels()->weight[layout.parts - 1];
  return all_stages(j, layout, image, end, [&](const Stage& stage, const Stage&) {
    const int64_t pixels = stage.images * stage.rows * j.ow;
    const bool begun = stage.image > image || stage.row > 0;
    if (!fill_planes(j, layout, stage, source, planes, fits)) return false;
    const auto* dz =
        static_cast<const float*>(conv_dz(e, DType::kFloat32, dy, (stage.image * j.oh + stage.row) * j.ow,
                                          pixels, j.fg, begun, dz_temporary, sums));
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
                .accumulate = begun});
        item += count;
      }
    });
    return true;
  });
}

// sums[n] += shares[0] + shares[1] + ..., `bytes` apart.
void add_shares(const WeightLayout& l, const char* shares, size_t bytes, int64_t n, void* sums) {
  const auto combine = gemm_kernels_of(DType::kFloat32).combine;
  const int64_t stride = static_cast<int64_t>(bytes / sizeof(float));
  parallel_for(n, grain_for(0.1 * static_cast<double>(l.shares)), [&](int64_t begin, int64_t end) {
    combine(reinterpret_cast<const float*>(shares) + begin, stride, l.shares - 1,
            static_cast<float*>(sums) + begin, end - begin, true);
  });
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
  const double tiles = products_cost(j, l.layout.parts) +
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
  char* at = static_cast<char*>(scratch);
  auto* steps = reinterpret_cast<int64_t*>(at);
  auto* rows = reinterpret_cast<int64_t*>(at += l.layout.steps_bytes);
  Slots slots(at += l.layout.steps_bytes, l.slot_bytes, l.shares);
  char* dw_shares = at += static_cast<size_t>(l.shares) * l.slot_bytes;
  char* db_shares = at + static_cast<size_t>(l.shares - 1) * l.dw_bytes;
  fill_steps(j, l.layout, steps);
  fill_rows(j, rows);

  std::array<bool, kMaxShares> good{};
  const auto sum_shares = [&](int64_t begin, int64_t end) {
    const Slots::Slot slot(slots);
    for (int64_t share = begin; share < end; ++share) {
      ConvEpilogueGrad own = e;
      float* to = dw;
      if (share > 0) {
        to = reinterpret_cast<float*>(dw_shares + static_cast<size_t>(share - 1) * l.dw_bytes);
        if (e.db) own.db = db_shares + static_cast<size_t>(share - 1) * l.db_bytes;
      }
      good[static_cast<size_t>(share)] =
          sum_images(j, l, l.share_image(j, share), l.share_image(j, share + 1), source, dy, to, own, steps,
                     rows, slot.data());
    }
  };
  if (l.shares < num_threads()) {  // they divide the stages of one share after another
    sum_shares(0, l.shares);
  } else {
    const double cost = products_cost(j, l.layout.parts) / static_cast<double>(l.shares);
    parallel_for(l.shares, grain_for(cost), sum_shares);
  }
  if (!all_fit(good.data(), l.shares)) return false;
  if (l.shares > 1) {
    add_shares(l, dw_shares, l.dw_bytes, l.k * j.fg, dw);
    if (e.db) add_shares(l, db_shares, l.db_bytes, j.fg, e.db);
  }
  return true;
}

}  // namespace lamina
