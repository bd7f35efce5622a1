#include "ops/conv2d_direct.h"

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/error.h"
#include "base/parallel.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_KERNELS(ConvKernels, conv_kernels)

namespace {

constexpr int64_t kUnitPixels = 512;        // long enough to read a panel of filters rarely
constexpr int64_t kStripBytes = 256 << 10;  // half of a small L2
constexpr int64_t kSlots = 32;              // strips in flight; items share a slot one after the other
constexpr int64_t kBlocks = 32;             // partial weight gradients
constexpr int64_t kPartialBytes = 8 << 20;  // all of them together, if there is more than one
constexpr double kFlopsPerNs = 60;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
size_t align64(size_t n) { return (n + 63) & ~size_t{63}; }

size_t checked_product(int64_t a, int64_t b, int64_t c, size_t d) {
  size_t r = d;
  check(!__builtin_mul_overflow(r, a, &r) && !__builtin_mul_overflow(r, b, &r) &&
            !__builtin_mul_overflow(r, c, &r) && r < (size_t{1} << 62),
        "conv2d", "the workspace does not fit memory. Received: sizes ", a, " x ", b, " x ", c, ".");
  return r;
}

// How the output pixels are cut into units of `images` x `rows` full rows, by problem size alone. Either one image or
// whole images, so that a unit is one ConvPixels.
struct Units {
  bool direct;                    // every tap of every pixel lies inside the source
  int64_t images, rows;           // of a unit
  int64_t image_units, row_units;
  int64_t in_cols;                // strip columns
  size_t strip_elements;          // 0 where direct

  Units(const ConvJob& j, size_t item) {
    const int64_t reach_h = (j.kh - 1) * j.step_h, reach_w = (j.kw - 1) * j.step_w;
    direct = j.depth() == 0 || (j.top >= 0 && j.left >= 0 && j.top + (j.oh - 1) * j.stride_h + reach_h < j.h &&
                                j.left + (j.ow - 1) * j.stride_w + reach_w < j.w);
    const int64_t pixels = j.oh * j.ow;
    const int64_t target = std::clamp<int64_t>(j.n * pixels / 16, 56, kUnitPixels);
    images = std::clamp<int64_t>(target / pixels, 1, std::max<int64_t>(j.n, 1));
    rows = images > 1 ? j.oh : std::clamp<int64_t>(target / j.ow, 1, j.oh);
    in_cols = (j.ow - 1) * j.stride_w + reach_w + 1;
    if (!direct) {
      const auto bytes = [&](int64_t r) {
        return checked_product((r - 1) * j.stride_h + reach_h + 1, in_cols, j.c, item);
      };
      while (images > 1 && bytes(rows) * images > kStripBytes) --images;
      while (images == 1 && rows > 1 && bytes(rows) > kStripBytes) --rows;
      strip_elements = checked_product(images, 1, 1, bytes(rows)) / item;
    } else {
      strip_elements = 0;
    }
    row_units = ceil_div(j.oh, rows);
    rows = ceil_div(j.oh, row_units);  // nearly equal
    image_units = ceil_div(j.n, images);
  }
  int64_t count() const { return image_units * row_units; }
};

// Offsets of (tap row, tap column, channel) from a pixel's first source element.
void fill_taps(const ConvJob& j, const Units& u, int64_t* taps) {
  const int64_t row = (u.direct ? j.w : u.in_cols) * j.c;
  for (int64_t a = 0; a < j.kh; ++a) {
    for (int64_t b = 0; b < j.kw; ++b) {
      for (int64_t k = 0; k < j.kc; ++k) *taps++ = a * j.step_h * row + b * j.step_w * j.c + k;
    }
  }
}

// Source rows of a unit, zeros outside the images: [images][in_rows][in_cols][c].
template <class T>
void copy_strip(const ConvJob& j, const Units& u, int64_t image, int64_t images, int64_t first_row, int64_t rows,
                const T* source, T* strip) {
  const int64_t in_rows = (rows - 1) * j.stride_h + (j.kh - 1) * j.step_h + 1;
  const int64_t before = std::clamp<int64_t>(-j.left, 0, u.in_cols);
  const int64_t from = std::max<int64_t>(j.left, 0);
  const int64_t copied = std::clamp<int64_t>(j.w - from, 0, u.in_cols - before);
  const int64_t after = u.in_cols - before - copied;
  for (int64_t i = 0; i < images; ++i) {
    const T* in = source + (image + i) * j.h * j.w * j.c;
    for (int64_t r = 0; r < in_rows; ++r, strip += u.in_cols * j.c) {
      const int64_t at = j.top + first_row * j.stride_h + r;
      if (at < 0 || at >= j.h || copied == 0) {
        std::memset(strip, 0, u.in_cols * j.c * sizeof(T));
        continue;
      }
      std::memset(strip, 0, before * j.c * sizeof(T));
      std::memcpy(strip + before * j.c, in + (at * j.w + from) * j.c, copied * j.c * sizeof(T));
      std::memset(strip + (before + copied) * j.c, 0, after * j.c * sizeof(T));
    }
  }
}

// One unit: its pixels, and its source (the strip, filled here, or the images).
template <class T>
struct Unit {
  ConvPixels pixels;
  const T* a;
  int64_t y;

  Unit(const ConvJob& j, const Units& u, int64_t index, const T* source, T* strip) {
    const int64_t image = index / u.row_units * u.images, row = index % u.row_units * u.rows;
    const int64_t images = std::min(u.images, j.n - image), rows = std::min(u.rows, j.oh - row);
    const int64_t in_row = (u.direct ? j.w : u.in_cols) * j.c;
    const int64_t in_rows = u.direct ? j.h : (rows - 1) * j.stride_h + (j.kh - 1) * j.step_h + 1;
    pixels = {images,      rows,      j.ow, in_rows * in_row, j.stride_h * in_row, j.stride_w * j.c,
              j.y_image, j.y_row, j.y_col};
    if (u.direct) {
      a = source + ((image * j.h + j.top + row * j.stride_h) * j.w + j.left) * j.c;
    } else {
      copy_strip(j, u, image, images, row, rows, source, strip);
      a = strip;
    }
    y = j.y_base + image * j.y_image + row * j.y_row;
  }
};

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

// Scratch of a job: tap offsets, panels, strips.
struct JobLayout {
  Units units;
  Panels panels;
  int64_t panel_groups, items, slots;
  size_t panels_at, strips_at, strip_bytes, total;

  JobLayout(const ConvJob& j, DType dtype) : units(j, itemsize(dtype)), panels(j, dtype) {
    // Panels are shared out only where units alone are too few to keep cores busy.
    panel_groups = std::clamp<int64_t>(ceil_div(16, std::max<int64_t>(units.count(), 1)), 1, panels.count);
    panel_groups = ceil_div(panels.count, ceil_div(panels.count, panel_groups));
    items = units.count() * panel_groups;
    slots = units.direct ? items : std::min(items, kSlots);
    panels_at = align64(checked_product(j.depth(), 1, 1, sizeof(int64_t)));
    strips_at = panels_at + align64(checked_product(j.depth(), panels.count, panels.nr, itemsize(dtype)));
    strip_bytes = align64(checked_product(units.strip_elements, 1, 1, itemsize(dtype)));
    total = strips_at + checked_product(units.direct ? 0 : slots, 1, 1, strip_bytes);
  }
};

template <class T>
void run_job(const ConvJob& j, DType dtype, const T* source, const T* w, const T* bias, Activation activation, T* y,
             char* scratch) {
  const JobLayout layout(j, dtype);
  const Units& units = layout.units;
  const Panels& panels = layout.panels;
  int64_t* taps = reinterpret_cast<int64_t*>(scratch);
  T* packed = reinterpret_cast<T*>(scratch + layout.panels_at);
  fill_taps(j, units, taps);
  const int64_t tap_count = j.kh * j.kw, panel_elements = j.depth() * panels.nr;
  parallel_for(panels.count * tap_count, grain_for(j.kc * panels.nr * 0.2), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t panel = i / tap_count, tap = i % tap_count;
      pack_tap(j, panels, panel, tap, w, packed + panel * panel_elements + tap * j.kc * panels.nr);
    }
  });

  const auto kernel = dtype == DType::kFloat32 ? conv_kernels().block_f32 : conv_kernels().block_f64;
  const auto run_item = [&](int64_t item, T* strip) {
    const Unit<T> unit(j, units, item / layout.panel_groups, source, strip);
    const int64_t part = item % layout.panel_groups, each = ceil_div(panels.count, layout.panel_groups);
    for (int64_t p = part * each; p < std::min(panels.count, (part + 1) * each); ++p) {
      const int64_t first = panels.first(p), f = panels.group(p) * j.fg + first;
      kernel({unit.pixels, unit.a + panels.group(p) * j.kc, taps, j.depth(), packed + p * panel_elements,
              bias != nullptr ? bias + f : nullptr, y + unit.y + f,
              static_cast<int>(std::min(panels.nr, j.fg - first)), activation});
    }
  };
  const double flops = 2.0 * j.n * j.oh * j.ow * (j.depth() + 4) * j.groups * j.fg;
  parallel_for(layout.slots, grain_for(flops / kFlopsPerNs / std::max<int64_t>(layout.slots, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t slot = begin; slot < end; ++slot) {
                   T* strip = reinterpret_cast<T*>(scratch + layout.strips_at + slot * layout.strip_bytes);
                   const int64_t stop = layout.items * (slot + 1) / layout.slots;
                   for (int64_t i = layout.items * slot / layout.slots; i < stop; ++i) run_item(i, strip);
                 }
               });
}

// Scratch of a weight gradient: tap offsets, partial dw and db of every block, strips.
struct WeightLayout {
  Units units;
  Panels panels;
  int64_t dw_elements, filters, blocks, panel_groups, items;
  size_t partials_at, partial_bytes, strips_at, strip_bytes, total;

  WeightLayout(const ConvJob& j, DType dtype) : units(j, itemsize(dtype)), panels(j, dtype) {
    const size_t item = itemsize(dtype);
    filters = j.groups * j.fg;
    dw_elements = j.depth() * filters;
    partial_bytes = align64(checked_product(j.depth() + 1, filters, 1, item));
    blocks = std::clamp<int64_t>(kPartialBytes / static_cast<int64_t>(partial_bytes), 1, kBlocks);
    blocks = std::min(blocks, std::max<int64_t>(units.count(), 1));
    panel_groups = std::min(ceil_div(16, blocks), panels.count);
    panel_groups = ceil_div(panels.count, ceil_div(panels.count, panel_groups));
    items = blocks * panel_groups;
    partials_at = align64(checked_product(j.depth(), 1, 1, sizeof(int64_t)));
    strips_at = partials_at + (blocks > 1 ? checked_product(blocks, 1, 1, partial_bytes) : 0);
    strip_bytes = align64(checked_product(units.strip_elements, 1, 1, item));
    total = strips_at + checked_product(items, 1, 1, strip_bytes);
  }
};

template <class T>
void run_weight_job(const ConvJob& j, DType dtype, const T* source, const T* dy, T* dw,
                    const ConvEpilogueGrad& e, char* scratch) {
  T* db = static_cast<T*>(e.db);
  const WeightLayout layout(j, dtype);
  const Units& units = layout.units;
  const Panels& panels = layout.panels;
  if (units.count() == 0) {
    std::memset(dw, 0, layout.dw_elements * sizeof(T));
    if (db != nullptr) std::memset(db, 0, layout.filters * sizeof(T));
    return;
  }
  int64_t* taps = reinterpret_cast<int64_t*>(scratch);
  fill_taps(j, units, taps);
  const auto partial = [&](int64_t block) {
    return reinterpret_cast<T*>(scratch + layout.partials_at + block * layout.partial_bytes);
  };
  const auto kernel = dtype == DType::kFloat32 ? conv_kernels().weight_f32 : conv_kernels().weight_f64;
  const auto run_item = [&](int64_t item) {
    const int64_t block = item / layout.panel_groups, part = item % layout.panel_groups;
    const int64_t each = ceil_div(panels.count, layout.panel_groups);
    const int64_t start = units.count() * block / layout.blocks;
    const int64_t stop = units.count() * (block + 1) / layout.blocks;
    T* to = layout.blocks > 1 ? partial(block) : dw;
    T* to_db = db == nullptr ? nullptr : layout.blocks > 1 ? to + layout.dw_elements : db;
    T* strip = reinterpret_cast<T*>(scratch + layout.strips_at + item * layout.strip_bytes);
    for (int64_t i = start; i < stop; ++i) {
      const Unit<T> unit(j, units, i, source, strip);
      for (int64_t p = part * each; p < std::min(panels.count, (part + 1) * each); ++p) {
        const int64_t first = panels.first(p), f = panels.group(p) * j.fg + first;
        const int64_t at = unit.y + f;
        kernel({unit.pixels, unit.a + panels.group(p) * j.kc, taps, j.depth(), dy + at,
                e.y != nullptr ? static_cast<const T*>(e.y) + at : nullptr,
                e.dz != nullptr ? static_cast<T*>(e.dz) + at : nullptr, to + f, layout.filters,
                to_db != nullptr ? to_db + f : nullptr, static_cast<int>(std::min(panels.nr, j.fg - first)),
                i > start, e.activation});
      }
    }
  };
  const double flops = 2.0 * j.n * j.oh * j.ow * layout.dw_elements;
  parallel_for(layout.items, grain_for(flops / kFlopsPerNs / layout.items), [&](int64_t begin, int64_t end) {
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
    for (int64_t i = begin; i < end; ++i) (i < layout.dw_elements ? dw[i] : db[i - layout.dw_elements]) = first[i];
  });
}

}  // namespace

size_t conv_job_scratch(const ConvJob& job, DType dtype) { return JobLayout(job, dtype).total; }
size_t conv_weight_scratch(const ConvJob& job, DType dtype) { return WeightLayout(job, dtype).total; }

void run_conv_job(const ConvJob& job, DType dtype, const void* source, const void* w, const void* bias,
                  Activation activation, void* y, void* scratch) {
  char* s = static_cast<char*>(scratch);
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
  char* s = static_cast<char*>(scratch);
  if (dtype == DType::kFloat32) {
    run_weight_job<float>(job, dtype, static_cast<const float*>(source), static_cast<const float*>(dy),
                          static_cast<float*>(dw), e, s);
  } else {
    run_weight_job<double>(job, dtype, static_cast<const double*>(source), static_cast<const double*>(dy),
                           static_cast<double*>(dw), e, s);
  }
}

}  // namespace lamina
