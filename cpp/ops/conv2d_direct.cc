#include "ops/conv2d_direct.h"

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/conv2d_depthwise.h"
#include "ops/conv2d_planar.h"
#include "ops/conv2d_product.h"
#include "ops/conv2d_split.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_KERNELS(ConvKernels, conv_kernels)

namespace {

constexpr int64_t kUnitPixels = 512;        // long enough to read a panel of filters rarely
constexpr int64_t kTileImages = 28;         // images to fill the tiles of one border position
constexpr int64_t kItems = 16;              // enough to keep cores busy; fewer where the problem is small
constexpr int64_t kBlocks = 32;             // partial weight gradients
constexpr int64_t kPartialBytes = 8 << 20;  // all of them together, if there is more than one
constexpr double kFlopsPerNs = 60;

size_t checked_product(int64_t a, int64_t b, int64_t c, size_t d) {
  size_t r = d;
  check(!__builtin_mul_overflow(r, a, &r) && !__builtin_mul_overflow(r, b, &r) &&
            !__builtin_mul_overflow(r, c, &r) && r < (size_t{1} << 62),
        "conv2d", "the workspace does not fit memory. Received: sizes ", a, " x ", b, " x ", c, ".");
  return r;
}

// How the output pixels are cut into units of work of `images` x `rows` full rows, by problem size alone.
struct Units {
  int64_t images, rows, image_units, row_units;

  explicit Units(const ConvJob& j) {
    const int64_t n = std::max<int64_t>(j.n, 1);
    const int64_t target = std::clamp<int64_t>(j.n * j.oh * j.ow / kItems, 56, kUnitPixels);
    const bool inside = j.top >= 0 && j.left >= 0 &&
                        j.top + (j.oh - 1) * j.stride_h + (j.kh - 1) * j.step_h < j.h &&
                        j.left + (j.ow - 1) * j.stride_w + (j.kw - 1) * j.step_w < j.w;
    if (inside) {  // one rectangle: neighbours in memory
      images = std::clamp<int64_t>(target / (j.oh * j.ow), 1, n);
      rows = images > 1 ? j.oh : std::clamp<int64_t>(target / j.ow, 1, j.oh);
    } else {  // the same place in many images first: a corner is one pixel of each
      images =
          std::min(ceil_div(n, std::max<int64_t>(n / kTileImages, 1)), std::max<int64_t>(target / j.ow, 1));
      rows = std::clamp<int64_t>(target / (images * j.ow), 1, j.oh);
    }
    row_units = ceil_div(j.oh, rows);
    rows = ceil_div(j.oh, row_units);  // nearly equal
    image_units = ceil_div(j.n, images);
  }
  int64_t count() const { return image_units * row_units; }
};

// Offsets of (tap row, tap column, channel) from a pixel's source element at tap 0.
void fill_taps(const ConvJob& j, int64_t* taps) {
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
  Span span(int64_t begin, int64_t limit) const {
    Span s{begin, begin + 1, low(begin), high(begin)};
    while (s.end < limit && low(s.end) == s.low && high(s.end) == s.high) ++s.end;
    return s;
  }
};

// body(pixels, runs, output offset of the first pixel) for every rectangle of a unit.
template <class Body>
void for_rectangles(const ConvJob& j, const Units& u, int64_t unit, Body body) {
  const int64_t image = unit / u.row_units * u.images, row = unit % u.row_units * u.rows;
  const int64_t images = std::min(u.images, j.n - image), row_end = std::min(u.rows + row, j.oh);
  const Axis vertical{j.h, j.kh, j.stride_h, j.step_h, j.top},
      horizontal{j.w, j.kw, j.stride_w, j.step_w, j.left};
  for (Span v{0, row, 0, 0}; v.end < row_end;) {
    v = vertical.span(v.end, row_end);
    for (Span h{0, 0, 0, 0}; h.end < j.ow;) {
      h = horizontal.span(h.end, j.ow);
      const int64_t y0 = j.top + v.begin * j.stride_h, x0 = j.left + h.begin * j.stride_w;
      const ConvPixels pixels{images,           v.end - v.begin,
                              h.end - h.begin,  ((image * j.h + y0) * j.w + x0) * j.c,
                              j.h * j.w * j.c,  j.stride_h * j.w * j.c,
                              j.stride_w * j.c, j.y_image,
                              j.y_row,          j.y_col};
      const int64_t tap_rows = std::max<int64_t>(v.high - v.low, 0),
                    tap_cols = std::max<int64_t>(h.high - h.low, 0);
      const int64_t first = (v.low * j.kw + h.low) * j.kc;
      ConvRuns runs{tap_rows, first, j.kw * j.kc, tap_cols * j.kc};
      if (tap_cols == j.kw) runs = {1, first, 0, tap_rows * j.kw * j.kc};
      if (runs.length == 0) runs = {0, 0, 0, 1};
      body(pixels, runs, j.y_base + image * j.y_image + v.begin * j.y_row + h.begin * j.y_col);
    }
  }
}

struct Panels {
  int64_t nr, per_group, count;
  Panels(const ConvJob& j, DType dtype)
      : nr(dtype == DType::kFloat32 ? conv_kernels().nr_f32 : conv_kernels().nr_f64),
        per_group(ceil_div(j.fg, nr)),
        count(per_group * j.groups) {}
  int64_t group(int64_t panel) const { return panel / per_group; }
  int64_t first(int64_t panel) const { return panel % per_group * nr; }  // filter within the group
};

// Panel p, tap (a, b): b[k][nr] = w[a, b, k, first + 0..nr), zeros past the group's last filter.
template <class T>
void pack_tap(const ConvJob& j, const Panels& panels, int64_t panel, int64_t tap, const T* w, T* to) {
  const int64_t first = panels.first(panel), n = std::min(panels.nr, j.fg - first), nr = panels.nr;
  const T* from = w + j.w_base + tap / j.kw * j.w_kh + tap % j.kw * j.w_kw + panels.group(panel) * j.w_group +
                  first * j.w_f;
  if (j.w_f == 1) {
    for (int64_t k = 0; k < j.kc; ++k) {
      std::memcpy(to + k * nr, from + k * j.w_k, n * sizeof(T));
      if (n < nr) std::memset(to + k * nr + n, 0, (nr - n) * sizeof(T));
    }
    return;
  }
  if (n < nr) std::memset(to, 0, j.kc * nr * sizeof(T));
  for (int64_t k0 = 0; k0 < j.kc; k0 += 16) {  // squares: both sides stay in L1
    const int64_t k1 = std::min(j.kc, k0 + 16);
    for (int64_t f = 0; f < n; ++f) {
      for (int64_t k = k0; k < k1; ++k) to[k * nr + f] = from[k * j.w_k + f * j.w_f];
    }
  }
}

// Groups of panels: shared out only where units alone are too few to keep cores busy.
int64_t share_panels(int64_t panels, int64_t units) {
  const int64_t groups =
      std::clamp<int64_t>(ceil_div(kItems, std::max<int64_t>(units, 1)), 1, std::max<int64_t>(panels, 1));
  return ceil_div(panels, ceil_div(panels, groups));
}

// Scratch of a job: tap offsets, panels.
struct JobLayout {
  Units units;
  Panels panels;
  int64_t panel_groups;
  size_t panels_at, total;

  JobLayout(const ConvJob& j, DType dtype) : units(j), panels(j, dtype) {
    panel_groups = share_panels(panels.count, units.count());
    panels_at = align64(checked_product(j.depth(), 1, 1, sizeof(int64_t)));
    total = panels_at + checked_product(j.depth(), panels.count, panels.nr, itemsize(dtype));
  }
};

template <class T>
void run_job(const ConvJob& j, DType dtype, const T* source, const T* w, const T* bias, Activation activation,
             T* y, char* scratch) {
  const JobLayout layout(j, dtype);
  const Units& units = layout.units;
  const Panels& panels = layout.panels;
  int64_t* taps = reinterpret_cast<int64_t*>(scratch);
  T* packed = reinterpret_cast<T*>(scratch + layout.panels_at);
  fill_taps(j, taps);
  const int64_t tap_count = j.kh * j.kw, panel_elements = j.depth() * panels.nr;
  parallel_for(panels.count * tap_count, grain_for(j.kc * panels.nr * 0.2), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t panel = i / tap_count, tap = i % tap_count;
      pack_tap(j, panels, panel, tap, w, packed + panel * panel_elements + tap * j.kc * panels.nr);
    }
  });

  const auto kernel = dtype == DType::kFloat32 ? conv_kernels().block_f32 : conv_kernels().block_f64;
  const int64_t items = units.count() * layout.panel_groups,
                each = ceil_div(panels.count, layout.panel_groups);
  const double flops = 2.0 * j.n * j.oh * j.ow * (j.depth() + 4) * j.groups * j.fg;
  parallel_for(items, grain_for(flops / kFlopsPerNs / items), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t part = item % layout.panel_groups, stop = std::min(panels.count, (part + 1) * each);
      for (int64_t p = part * each; p < stop; ++p) {
        const int64_t first = panels.first(p), f = panels.group(p) * j.fg + first;
        const int n = static_cast<int>(std::min(panels.nr, j.fg - first));
        for_rectangles(
            j, units, item / layout.panel_groups,
            [&](const ConvPixels& pixels, const ConvRuns& runs, int64_t at) {
              kernel({pixels, runs, source + panels.group(p) * j.kc, taps, packed + p * panel_elements,
                      bias != nullptr ? bias + f : nullptr, y + at + f, n, activation});
            });
      }
    }
  });
}

// Scratch of a weight gradient: tap offsets, partial dw and db of every block of units.
struct WeightLayout {
  Units units;
  Panels panels;
  int64_t dw_elements, filters, blocks, panel_groups;
  size_t partials_at, partial_bytes, total;

  WeightLayout(const ConvJob& j, DType dtype) : units(j), panels(j, dtype) {
    filters = j.groups * j.fg;
    dw_elements = j.depth() * filters;
    partial_bytes = align64(checked_product(j.depth() + 1, filters, 1, itemsize(dtype)));
    blocks = std::clamp<int64_t>(kPartialBytes / static_cast<int64_t>(partial_bytes), 1, kBlocks);
    blocks = std::min(blocks, std::max<int64_t>(units.count(), 1));
    panel_groups = share_panels(panels.count, blocks);
    partials_at = align64(checked_product(j.depth(), 1, 1, sizeof(int64_t)));
    total = partials_at + (blocks > 1 ? checked_product(blocks, 1, 1, partial_bytes) : 0);
  }
};

template <class T>
void run_weight_job(const ConvJob& j, DType dtype, const T* source, const T* dy, T* dw,
                    const ConvEpilogueGrad& e, char* scratch) {
  T* db = static_cast<T*>(e.db);
  const WeightLayout layout(j, dtype);
  const Units& units = layout.units;
  const Panels& panels = layout.panels;
  int64_t* taps = reinterpret_cast<int64_t*>(scratch);
  fill_taps(j, taps);
  const auto partial = [&](int64_t block) {
    return reinterpret_cast<T*>(scratch + layout.partials_at + block * layout.partial_bytes);
  };
  const auto kernel = dtype == DType::kFloat32 ? conv_kernels().weight_f32 : conv_kernels().weight_f64;
  const int64_t each = ceil_div(panels.count, layout.panel_groups);
  const auto run_item = [&](int64_t item) {
    const int64_t block = item / layout.panel_groups, part = item % layout.panel_groups;
    T* to = layout.blocks > 1 ? partial(block) : dw;
    T* to_db = db == nullptr ? nullptr : layout.blocks > 1 ? to + layout.dw_elements : db;
    const int64_t start = units.count() * block / layout.blocks;
    const int64_t stop = units.count() * (block + 1) / layout.blocks;
    // Filters [begin, end) of all groups belong to this item.
    const auto filter = [&](int64_t p) { return panels.group(p) * j.fg + panels.first(p); };
    const int64_t last = std::min(panels.count, (part + 1) * each);
    const int64_t begin = filter(part * each), end = last < panels.count ? filter(last) : layout.filters;
    for (int64_t k = 0; k < j.depth(); ++k)
      std::memset(to + k * layout.filters + begin, 0, (end - begin) * sizeof(T));
    if (to_db != nullptr) std::memset(to_db + begin, 0, (end - begin) * sizeof(T));
    for (int64_t unit = start; unit < stop; ++unit) {
      for (int64_t p = part * each; p < last; ++p) {
        const int64_t f = filter(p);
        const int n = static_cast<int>(std::min(panels.nr, j.fg - panels.first(p)));
        for_rectangles(j, units, unit, [&](const ConvPixels& pixels, const ConvRuns& runs, int64_t at) {
          kernel({pixels, runs, source + panels.group(p) * j.kc, taps, dy + at + f,
                  e.y != nullptr ? static_cast<const T*>(e.y) + at + f : nullptr,
                  e.dz != nullptr ? static_cast<T*>(e.dz) + at + f : nullptr, to + f, layout.filters,
                  to_db != nullptr ? to_db + f : nullptr, n, e.activation});
        });
      }
    }
  };
  const int64_t items = layout.blocks * layout.panel_groups;
  const double flops = 2.0 * j.n * j.oh * j.ow * layout.dw_elements;
  parallel_for(items, grain_for(flops / kFlopsPerNs / items), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) run_item(item);
  });
  if (layout.blocks == 1) return;
  const int64_t total = layout.dw_elements + (db != nullptr ? layout.filters : 0);
  parallel_for(total, grain_for(0.3 * layout.blocks), [&](int64_t begin, int64_t end) {
    T* first = partial(0);
    for (int64_t block = 1; block < layout.blocks; ++block) {
      const T* other = partial(block);
      for (int64_t i = begin; i < end; ++i) first[i] += other[i];
    }
    for (int64_t i = begin; i < end; ++i)
      (i < layout.dw_elements ? dw[i] : db[i - layout.dw_elements]) = first[i];
  });
}

}  // namespace

size_t conv_job_scratch(const ConvJob& job, DType dtype) {
  if (is_depthwise(job)) return 0;
  if (is_planar(job, dtype)) return planar_scratch(job, dtype);
  if (is_product(job, dtype)) return product_scratch(job, dtype);
  const size_t direct = JobLayout(job, dtype).total;
  return conv_splits(job, dtype) ? std::max(direct, conv_split_scratch(job)) : direct;
}
size_t conv_weight_scratch(const ConvJob& job, DType dtype, bool dz_kept) {
  if (is_depthwise(job)) return depthwise_weight_scratch(job, dtype);
  if (is_planar_weight(job, dtype)) return planar_weight_scratch(job, dtype);
  if (is_weight_product(job, dtype)) return weight_product_scratch(job, dtype, dz_kept);
  const size_t direct = WeightLayout(job, dtype).total;
  return conv_weight_splits(job, dtype) ? std::max(direct, conv_split_weight_scratch(job, dz_kept)) : direct;
}

void run_conv_job(const ConvJob& job, DType dtype, const void* source, const void* w, const void* bias,
                  Activation activation, void* y, void* scratch) {
  if (is_depthwise(job)) return run_depthwise(job, dtype, source, w, bias, activation, y);
  if (is_planar(job, dtype)) return run_planar(job, dtype, source, w, bias, activation, y, scratch);
  if (is_product(job, dtype)) return run_product(job, dtype, source, w, bias, activation, y, scratch);
  char* s = static_cast<char*>(scratch);
  if (conv_splits(job, dtype) &&
      run_conv_split(job, static_cast<const float*>(source), static_cast<const float*>(w),
                     static_cast<const float*>(bias), activation, static_cast<float*>(y), s)) {
    return;
  }
  if (dtype == DType::kFloat32) {
    run_job<float>(job, dtype, static_cast<const float*>(source), static_cast<const float*>(w),
                   static_cast<const float*>(bias), activation, static_cast<float*>(y), s);
  } else {
    run_job<double>(job, dtype, static_cast<const double*>(source), static_cast<const double*>(w),
                    static_cast<const double*>(bias), activation, static_cast<double*>(y), s);
  }
}

void run_conv_weight_job(const ConvJob& job, DType dtype, const void* source, const void* dy, void* dw,
                         const ConvEpilogueGrad& e, void* scratch) {
  if (is_depthwise(job)) return run_depthwise_weight(job, dtype, source, dy, dw, e, scratch);
  if (is_planar_weight(job, dtype)) return run_planar_weight(job, dtype, source, dy, dw, e, scratch);
  if (is_weight_product(job, dtype)) return run_weight_product(job, dtype, source, dy, dw, e, scratch);
  char* s = static_cast<char*>(scratch);
  if (conv_weight_splits(job, dtype) &&
      run_conv_split_weight(job, static_cast<const float*>(source), static_cast<const float*>(dy),
                            static_cast<float*>(dw), e, s)) {
    return;
  }
  if (dtype == DType::kFloat32) {
    run_weight_job<float>(job, dtype, static_cast<const float*>(source), static_cast<const float*>(dy),
                          static_cast<float*>(dw), e, s);
  } else {
    run_weight_job<double>(job, dtype, static_cast<const double*>(source), static_cast<const double*>(dy),
                           static_cast<double*>(dw), e, s);
  }
}

}  // namespace lamina
