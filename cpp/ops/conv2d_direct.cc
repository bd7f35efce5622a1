#include "ops/conv2d_direct.h"

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/conv2d_depthwise.h"
#include "ops/conv2d_planar.h"
#include "ops/conv2d_split.h"
#include "ops/dispatch.h"
#include "ops/gemm_split.h"

namespace lamina {

LAMINA_KERNELS(ConvKernels, conv_kernels)

namespace {

constexpr int64_t kItems = 16;              // enough to keep cores busy; fewer where the problem is small
constexpr int64_t kUnitPixels = 56;         // at least
constexpr int64_t kTileImages = 8;          // to fill the tiles of one border position
constexpr int64_t kUnitBytes = 1 << 20;     // of the source, read again for every panel: in L2
constexpr int64_t kPanelBytes = 256 << 10;  // of panels that go over some pixels one after the other
constexpr int64_t kPackAhead = 16;          // rows of filters
constexpr int64_t kListPixels = 252, kFewPixels = 112;  // of one kernel call: whole tiles
constexpr int64_t kChunkPixels = 256;                   // of dz, some panels of it packed on a thread's stack
constexpr int64_t kPackedBytes = 128 << 10;
constexpr int64_t kDenseChannels = 14, kDenseRun = 14;  // neighbouring products that fill tiles
constexpr int64_t kItemProducts = 1 << 20;              // least of a weight gradient's item
constexpr int64_t kBlockPixels = 1024;                  // whose products are worth a partial weight gradient
constexpr int64_t kPartDepth = 256;                     // products that are worth packing dz once more
constexpr int64_t kPartialBytes = 8 << 20;  // of partial weight gradients together, if there is more than one
constexpr double kFlopsPerNs = 60;

size_t checked_product(int64_t a, int64_t b, int64_t c, size_t d) {
  size_t r = d;
  check(!__builtin_mul_overflow(r, a, &r) && !__builtin_mul_overflow(r, b, &r) &&
            !__builtin_mul_overflow(r, c, &r) && r < (size_t{1} << 62),
        "conv2d", "the workspace does not fit memory. Received: sizes ", a, " x ", b, " x ", c, ".");
  return r;
}

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

// How the output pixels are cut into units of work of `images` x `rows` full rows, by problem size alone:
// where there is padding, of several images, since a border position of one fills no tile.
struct Units {
  int64_t images, rows, image_units, row_units;

  Units(const ConvJob& j, int64_t panels, int64_t item_bytes) {
    const int64_t most = std::max<int64_t>(j.n * j.oh * j.ow / kUnitPixels, 1);
    const int64_t wanted =
        std::clamp<int64_t>(std::max(ceil_div(kItems, std::max<int64_t>(panels, 1)),
                                     ceil_div(j.n * j.h * j.w * j.c * item_bytes, kUnitBytes)),
                            1, most);
    const bool inside = j.top >= 0 && j.left >= 0 &&
                        j.top + (j.oh - 1) * j.stride_h + (j.kh - 1) * j.step_h < j.h &&
                        j.left + (j.ow - 1) * j.stride_w + (j.kw - 1) * j.step_w < j.w;
    const int64_t n = std::max<int64_t>(j.n, 1);
    const int64_t tile_images =
        std::clamp<int64_t>(kUnitBytes / (j.h * j.w * j.c * item_bytes), 1, kTileImages);
    image_units = ceil_div(n, std::max(ceil_div(n, wanted), inside ? 1 : std::min(n, tile_images)));
    images = ceil_div(n, image_units);
    image_units = ceil_div(j.n, images);
    row_units = std::clamp<int64_t>(ceil_div(wanted, std::max<int64_t>(image_units, 1)), 1,
                                    std::max<int64_t>(j.oh, 1));
    rows = std::max<int64_t>(ceil_div(j.oh, row_units), 1);
    row_units = ceil_div(j.oh, rows);
  }
  int64_t count() const { return image_units * row_units; }
  PixelRect rect(const ConvJob& j, int64_t unit) const {
    const int64_t image = unit / row_units * images, row = unit % row_units * rows;
    return {image, std::min(images, j.n - image), row, std::min(j.oh, row + rows), 0, j.ow};
  }
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

// Whether the products of a row of taps are neighbours in the source, and fill tiles.
bool dense_rows(const ConvJob& j) { return j.step_w == 1 && j.kc == j.c && j.kw * j.kc >= kDenseRun; }

// The products of outputs that see the taps of v and h.
ConvRuns runs_of(const ConvJob& j, const Span& v, const Span& h) {
  const int64_t rows = std::max<int64_t>(v.high - v.low, 0), cols = std::max<int64_t>(h.high - h.low, 0);
  const int64_t first = (v.low * j.kw + h.low) * j.kc;
  if (rows * cols == 0) return {0, 0, 0, 1};
  if (cols == j.kw && !dense_rows(j)) return {1, first, 0, rows * j.kw * j.kc};
  return {rows, first, j.kw * j.kc, cols * j.kc};
}

// body(rectangle, runs) for the pixels of a rectangle that see the same taps.
template <class Body>
void for_alike(const ConvJob& j, const PixelRect& all, Body body) {
  const Axis vertical{j.h, j.kh, j.stride_h, j.step_h, j.top},
      horizontal{j.w, j.kw, j.stride_w, j.step_w, j.left};
  for (Span v{0, all.top, 0, 0}; v.end < all.bottom;) {
    v = vertical.span(v.end, all.bottom);
    for (Span h{0, all.left, 0, 0}; h.end < all.right;) {
      h = horizontal.span(h.end, all.right);
      body(PixelRect{all.image, all.images, v.begin, v.end, h.begin, h.end}, runs_of(j, v, h));
    }
  }
}

// Source offset of an output at tap 0.
int64_t source_at(const ConvJob& j, int64_t image, int64_t row, int64_t col) {
  return ((image * j.h + j.top + row * j.stride_h) * j.w + j.left + col * j.stride_w) * j.c;
}

// Offsets of some pixels in the source and elsewhere.
struct PixelList {
  int64_t count = 0, pixels[kChunkPixels + kConvAhead] = {}, outs[kChunkPixels];

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
      : nr(dtype == DType::kFloat32 ? conv_kernels().nr_f32 : conv_kernels().nr_f64),
        per_group(ceil_div(j.fg, nr)),
        count(per_group * j.groups) {}
  int64_t group(int64_t panel) const { return panel / per_group; }
  int64_t first(int64_t panel) const { return panel % per_group * nr; }  // filter within the group
  int64_t filter(const ConvJob& j, int64_t panel) const { return group(panel) * j.fg + first(panel); }
};

// Panel p, tap (a, b): b[k][nr] = w[a, b, k, first + 0..nr), zeros past the group's last filter.
template <class T>
void pack_tap(const ConvJob& j, DType dtype, const Panels& panels, int64_t panel, int64_t tap, const T* w,
              T* to) {
  const int64_t first = panels.first(panel);
  const T* from = w + j.w_base + tap / j.kw * j.w_kh + tap % j.kw * j.w_kw + panels.group(panel) * j.w_group +
                  first * j.w_f;
  if (j.w_f == 1 && first + panels.nr <= j.fg) {
    for (int64_t k = 0; k < j.kc; ++k) {  // rows pages apart: asked for early
      __builtin_prefetch(from + (k + kPackAhead) * j.w_k);
      __builtin_prefetch(from + (k + kPackAhead) * j.w_k + panels.nr - 1);
      std::memcpy(to + k * panels.nr, from + k * j.w_k, panels.nr * sizeof(T));
    }
    return;
  }
  const int32_t nr = static_cast<int32_t>(panels.nr);
  gemm_kernels_of(dtype).pack({from, to, std::min(panels.nr, j.fg - first), j.kc, j.w_f, j.w_k, nr, nr});
}

// Groups of panels: shared out only where units alone are fewer than the items wanted.
int64_t share_panels(int64_t panels, int64_t units, int64_t items) {
  const int64_t groups =
      std::clamp<int64_t>(ceil_div(items, std::max<int64_t>(units, 1)), 1, std::max<int64_t>(panels, 1));
  return ceil_div(panels, ceil_div(panels, groups));
}

// Scratch of a job: tap offsets, panels.
struct JobLayout {
  Panels panels;
  Units units;
  int64_t panel_groups;
  size_t panels_at, total;

  JobLayout(const ConvJob& j, DType dtype)
      : panels(j, dtype), units(j, panels.count, static_cast<int64_t>(itemsize(dtype))) {
    panel_groups = share_panels(panels.count, units.count(), kItems);
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
  const auto pack = [&](int64_t begin, int64_t end) {  // (panel, tap)
    for (int64_t i = begin; i < end; ++i) {
      const int64_t panel = i / tap_count, tap = i % tap_count;
      pack_tap(j, dtype, panels, panel, tap, w, packed + panel * panel_elements + tap * j.kc * panels.nr);
    }
  };
  const bool once = units.count() == 1;  // each panel is used by one item: packed there, it is in its cache
  if (!once) parallel_for(panels.count * tap_count, grain_for(j.kc * panels.nr * 0.1), pack);

  const auto kernel = dtype == DType::kFloat32 ? conv_kernels().block_f32 : conv_kernels().block_f64;
  const int64_t items = units.count() * layout.panel_groups,
                each = ceil_div(panels.count, layout.panel_groups);
  const int64_t together = std::clamp<int64_t>(
      kPanelBytes / std::max<int64_t>(panel_elements * static_cast<int64_t>(sizeof(T)), 1), 1, each);
  const bool streams = tap_count == 1;  // each element of the source counts once
  const int64_t step = streams && together > 1 ? kFewPixels : kListPixels;
  const double flops = 2.0 * j.n * j.oh * j.ow * (j.depth() + 4) * j.groups * j.fg;
  parallel_for(items, grain_for(flops / kFlopsPerNs / items), [&](int64_t begin, int64_t end) {
    PixelList list;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t part = item % layout.panel_groups, stop = std::min(panels.count, (part + 1) * each);
      const PixelRect unit = units.rect(j, item / layout.panel_groups);
      for (int64_t p0 = part * each; p0 < stop; p0 += together) {
        const int64_t p1 = std::min(stop, p0 + together);
        if (once) pack(p0 * tap_count, p1 * tap_count);
        for_alike(j, unit, [&](const PixelRect& rect, const ConvRuns& runs) {
          for (int64_t m = 0; m < rect.count(); m += step) {
            list.count = 0;
            rect.for_rows(m, std::min(rect.count(), m + step),
                          [&](int64_t image, int64_t row, int64_t col, int64_t n) {
                            list.add(n, source_at(j, image, row, col), j.stride_w * j.c,
                                     j.y_base + image * j.y_image + row * j.y_row + col * j.y_col, j.y_col);
                          });
            for (int64_t p = p0; p < p1; ++p) {
              const int64_t first = panels.first(p), f = panels.group(p) * j.fg + first;
              kernel({.a = source + panels.group(p) * j.kc,
                      .pixels = list.pixels,
                      .outs = list.outs,
                      .count = list.count,
                      .runs = runs,
                      .taps = taps,
                      .b = packed + p * panel_elements,
                      .bias = bias != nullptr ? bias + f : nullptr,
                      .y = y + f,
                      .n = static_cast<int>(std::min(panels.nr, j.fg - first)),
                      .stream = streams && p == p0,
                      .activation = activation});
            }
          }
        });
      }
    }
  });
}

// Whether every tap is taken by itself, with all pixels that see it: where its channels fill tiles. Else
// pixels that see the same taps are taken together.
bool tap_by_tap(const ConvJob& j) { return j.kc >= kDenseChannels; }

PixelRect all_pixels(const ConvJob& j) { return {0, j.n, 0, j.oh, 0, j.ow}; }

// body(rectangle, its runs) for disjoint rectangles of all pixels.
template <class Body>
void for_weight_rects(const ConvJob& j, Body body) {
  if (tap_by_tap(j)) return body(all_pixels(j), ConvRuns{});
  for_alike(j, all_pixels(j), body);
}

// How a weight gradient is cut, by sizes alone; its scratch: tap offsets, partial dw and db of every block of
// pixels.
struct WeightLayout {
  Panels panels;
  int64_t chunks = 0;
  int64_t dw_elements, filters, together, blocks, parts, panel_groups;
  size_t partials_at, partial_bytes, total;

  WeightLayout(const ConvJob& j, DType dtype) : panels(j, dtype) {
    for_weight_rects(
        j, [&](const PixelRect& rect, const ConvRuns&) { chunks += ceil_div(rect.count(), kChunkPixels); });
    filters = j.groups * j.fg;
    dw_elements = j.depth() * filters;
    partial_bytes = align64(checked_product(j.depth() + 1, filters, 1, itemsize(dtype)));
    together = kPackedBytes / static_cast<int64_t>(itemsize(dtype)) / (kChunkPixels * panels.nr);
    const int64_t groups = std::max<int64_t>(ceil_div(panels.count, together), 1);
    const int64_t items = std::clamp<int64_t>(j.n * j.oh * j.ow * dw_elements / kItemProducts, 1, kItems);
    blocks = std::min({ceil_div(items, groups), kPartialBytes / static_cast<int64_t>(partial_bytes),
                       j.n * j.oh * j.ow / kBlockPixels, chunks});
    blocks = std::max<int64_t>(blocks, 1);
    parts =
        tap_by_tap(j) ? std::clamp<int64_t>(j.depth() / kPartDepth, 1, ceil_div(items, groups * blocks)) : 1;
    panel_groups = std::max(share_panels(panels.count, blocks * parts, items), groups);
    partials_at = align64(checked_product(j.depth(), 1, 1, sizeof(int64_t)));
    total = partials_at + (blocks > 1 ? checked_product(blocks, 1, 1, partial_bytes) : 0);
  }
};

// dw [k0, k1) and db of the panels [p0, p1) of filters from the chunks [first, last) of the pixels.
template <class T>
void weight_item(const ConvJob& j, DType dtype, const Panels& panels, int64_t p0, int64_t p1, int64_t first,
                 int64_t last, int64_t k0, int64_t k1, const int64_t* taps, const T* source, const T* dy,
                 const ConvEpilogueGrad& e, T* dw, T* db) {
  const bool is_float = dtype == DType::kFloat32;
  const auto pack = is_float ? conv_kernels().pack_grad_f32 : conv_kernels().pack_grad_f64;
  const auto kernel = is_float ? conv_kernels().weight_f32 : conv_kernels().weight_f64;
  const int64_t filters = j.groups * j.fg;
  const bool by_tap = tap_by_tap(j);
  alignas(64) T packed[kPackedBytes / sizeof(T)];
  const int64_t panel_elements = kChunkPixels * panels.nr;
  const auto width = [&](int64_t p) { return static_cast<int>(std::min(panels.nr, j.fg - panels.first(p))); };
  const Axis vertical{j.h, j.kh, j.stride_h, j.step_h, j.top},
      horizontal{j.w, j.kw, j.stride_w, j.step_w, j.left};
  PixelList list;
  int64_t in_order[kChunkPixels];
  PixelList::fill(in_order, kChunkPixels, 0, panels.nr);
  int64_t chunk = 0;
  const auto run_chunk = [&](const PixelRect& rect, const ConvRuns& runs, int64_t begin, int64_t end) {
    int64_t *out = list.outs, at = 0;
    rect.for_rows(begin, end, [&](int64_t image, int64_t row, int64_t col, int64_t n) {
      PixelList::fill(out, n, ((image * j.oh + row) * j.ow + col) * filters, filters);
      out += n;
    });
    for (int64_t p = p0; p < p1; ++p) {
      const int64_t f = panels.filter(j, p);
      pack({.dy = dy + f,
            .y = e.y != nullptr ? static_cast<const T*>(e.y) + f : nullptr,
            .dz = e.dz != nullptr ? static_cast<T*>(e.dz) + f : nullptr,
            .outs = list.outs,
            .count = end - begin,
            .packed = packed + (p - p0) * panel_elements,
            .db = db != nullptr ? db + f : nullptr,
            .n = width(p),
            .activation = e.activation});
    }
    for (int64_t tap = by_tap ? k0 / j.kc : 0; tap < (by_tap ? ceil_div(k1, j.kc) : 1); ++tap) {
      const int64_t k = std::max(tap * j.kc, k0), k_end = std::min((tap + 1) * j.kc, k1);
      const int64_t a = tap / j.kw, b = tap % j.kw;
      const int64_t top = by_tap ? vertical.first(a) : rect.top,
                    bottom = by_tap ? vertical.end(a, j.oh) : rect.bottom,
                    left = by_tap ? horizontal.first(b) : rect.left,
                    right = by_tap ? horizontal.end(b, j.ow) : rect.right;
      list.count = at = 0;
      rect.for_rows(begin, end, [&](int64_t image, int64_t row, int64_t col, int64_t n) {
        const int64_t from = std::max(col, left), to = std::min(col + n, right);
        if (row >= top && row < bottom && from < to) {
          PixelList::fill(list.pixels + list.count, to - from, source_at(j, image, row, from),
                          j.stride_w * j.c);
          if (by_tap) {
            PixelList::fill(list.outs + list.count, to - from, (at + from - col) * panels.nr, panels.nr);
          }
          list.count += to - from;
        }
        at += n;
      });
      for (int64_t p = p0; p < p1; ++p) {
        kernel({.a = source + panels.group(p) * j.kc,
                .pixels = list.pixels,
                .rows = by_tap ? list.outs : in_order,
                .count = list.count,
                .in_order = list.count == end - begin,
                .runs = by_tap ? ConvRuns{1, k, 0, k_end - k} : runs,
                .taps = taps,
                .dense = by_tap || dense_rows(j),
                .add = !by_tap || chunk > first,  // a tap is in one call of every chunk
                .dz = packed + (p - p0) * panel_elements,
                .dw = dw + panels.filter(j, p),
                .dw_row = filters,
                .n = width(p)});
      }
    }
  };
  for_weight_rects(j, [&](const PixelRect& rect, const ConvRuns& runs) {
    const int64_t chunks = ceil_div(rect.count(), kChunkPixels);
    for (int64_t i = 0; i < chunks; ++i, ++chunk) {
      if (chunk < first || chunk >= last) continue;
      run_chunk(rect, runs, rect.count() * i / chunks, rect.count() * (i + 1) / chunks);
    }
  });
}

template <class T>
void run_weight_job(const ConvJob& j, DType dtype, const T* source, const T* dy, T* dw,
                    const ConvEpilogueGrad& e, char* scratch) {
  T* db = static_cast<T*>(e.db);
  const WeightLayout layout(j, dtype);
  const Panels& panels = layout.panels;
  int64_t* taps = reinterpret_cast<int64_t*>(scratch);
  fill_taps(j, taps);
  const auto partial = [&](int64_t block) {
    return reinterpret_cast<T*>(scratch + layout.partials_at + block * layout.partial_bytes);
  };
  const int64_t each = ceil_div(panels.count, layout.panel_groups);
  const auto run_item = [&](int64_t item) {
    const int64_t group = item % layout.panel_groups, part = item / layout.panel_groups % layout.parts,
                  block = item / layout.panel_groups / layout.parts;
    const int64_t k0 = j.depth() * part / layout.parts, k1 = j.depth() * (part + 1) / layout.parts;
    T* to = layout.blocks > 1 ? partial(block) : dw;
    T* to_db = db == nullptr || part > 0 ? nullptr : layout.blocks > 1 ? to + layout.dw_elements : db;
    const int64_t p0 = group * each, p1 = std::min(panels.count, p0 + each);
    ConvEpilogueGrad epilogue = e;
    if (part > 0) epilogue.dz = nullptr;
    const int64_t first = layout.chunks * block / layout.blocks,
                  last = layout.chunks * (block + 1) / layout.blocks;
    // Filters [begin, end) of all groups belong to this item.
    const int64_t begin = panels.filter(j, p0),
                  end = p1 < panels.count ? panels.filter(j, p1) : layout.filters;
    if (to_db != nullptr) std::memset(to_db + begin, 0, (end - begin) * sizeof(T));
    if (!tap_by_tap(j) || first == last) {
      for (int64_t k = k0; k < k1; ++k)
        std::memset(to + k * layout.filters + begin, 0, (end - begin) * sizeof(T));
    }
    for (int64_t p = p0; p < p1; p += layout.together) {
      weight_item(j, dtype, panels, p, std::min(p1, p + layout.together), first, last, k0, k1, taps, source,
                  dy, epilogue, to, to_db);
    }
  };
  const int64_t items = layout.blocks * layout.parts * layout.panel_groups;
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

// The product that a convolution of one tap is: pixels times channels.
GemmArgs as_product(const ConvJob& j, DType dtype, Activation activation) {
  return {.dtype = dtype,
          .precision = j.precision,
          .m = j.n * j.oh * j.ow,
          .n = j.fg,
          .k = j.kc,
          .a_row = j.c,
          .a_col = 1,
          .b_row = j.w_k,
          .b_col = j.w_f,
          .c_row = j.fg,
          .activation = activation};
}

// Only where tiles make it faster: else the loops above are.
bool is_product(const ConvJob& j, DType dtype) {
  return j.kh * j.kw == 1 && j.groups == 1 && j.stride_h == 1 && j.stride_w == 1 && j.top == 0 &&
         j.left == 0 && j.oh == j.h && j.ow == j.w && j.y_base == 0 && j.y_col == j.fg &&
         j.y_row == j.ow * j.fg && j.y_image == j.oh * j.y_row &&
         gemm_splits(as_product(j, dtype, Activation::none));
}

}  // namespace

size_t conv_job_scratch(const ConvJob& job, DType dtype) {
  if (is_depthwise(job)) return 0;
  if (is_planar(job, dtype)) return planar_scratch(job, dtype);
  const size_t direct = JobLayout(job, dtype).total;
  if (is_product(job, dtype)) return gemm_scratch_bytes(as_product(job, dtype, Activation::none));
  return conv_splits(job, dtype) ? std::max(direct, conv_split_scratch(job)) : direct;
}
size_t conv_weight_scratch(const ConvJob& job, DType dtype, bool dz_kept) {
  if (is_depthwise(job)) return depthwise_weight_scratch(job, dtype);
  if (is_planar_weight(job, dtype)) return planar_weight_scratch(job, dtype);
  const size_t direct = WeightLayout(job, dtype).total;
  return conv_weight_splits(job, dtype) ? std::max(direct, conv_split_weight_scratch(job, dz_kept)) : direct;
}

void run_conv_job(const ConvJob& job, DType dtype, const void* source, const void* w, const void* bias,
                  Activation activation, void* y, void* scratch) {
  if (is_depthwise(job)) return run_depthwise(job, dtype, source, w, bias, activation, y);
  if (is_planar(job, dtype)) return run_planar(job, dtype, source, w, bias, activation, y, scratch);
  char* s = static_cast<char*>(scratch);
  if (is_product(job, dtype)) {
    return gemm_run(as_product(job, dtype, activation), source, static_cast<const float*>(w) + job.w_base,
                    bias, y, scratch);
  }
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
