#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "ops/conv2d_direct_pixels.h"

namespace lamina::conv_direct {
namespace {

constexpr int64_t kChunkPixels = kMostPixels;  // of dz, some panels of it packed on a thread's stack
constexpr int64_t kPackedBytes = 128 << 10;
constexpr int64_t kDenseChannels = 14, kDenseRun = 14;  // neighbouring products that fill tiles
constexpr int64_t kItemProducts = 1 << 20;              // least of an item
constexpr int64_t kBlockPixels = 1024;                  // whose products are worth a partial dw
constexpr int64_t kPartDepth = 256;                     // products that are worth packing dz once more
constexpr int64_t kPartialBytes = 8 << 20;              // of partial dw together, if there is more than one

// Whether the products of a row of taps are neighbours in the source, and fill tiles.
bool dense_rows(const ConvJob& j) { return j.step_w == 1 && j.kc == j.c && j.kw * j.kc >= kDenseRun; }

// What is taken at a time: a row of taps (conv2d_rows.h), or every tap by itself, with all pixels that see
// it, where its channels fill tiles; else pixels that see the same taps.
enum class Way { rows, taps, alike };
Way way_of(const ConvJob& j, DType dtype) {
  if (takes_row_weights(j, dtype)) return Way::rows;
  return j.kc >= kDenseChannels ? Way::taps : Way::alike;
}

// body(rectangle, its runs, chunks) for disjoint rectangles of all pixels.
template <class Body>
void for_weight_rects(const ConvJob& j, Way way, Body body) {
  const PixelRect all{0, j.n, 0, j.oh, 0, j.ow};
  if (way == Way::rows) return body(all, ConvRuns{}, ceil_div(j.n * j.oh, kChunkPixels / j.ow));
  if (way == Way::taps) return body(all, ConvRuns{}, ceil_div(all.count(), kChunkPixels));
  for_alike(j, all, dense_rows(j), [&](const PixelRect& rect, const ConvRuns& runs) {
    body(rect, runs, ceil_div(rect.count(), kChunkPixels));
  });
}

// How a weight gradient is cut, by sizes alone; its scratch: tap offsets, partial dw and db of every block of
// pixels.
struct WeightLayout {
  Panels panels;
  Way way;
  int64_t chunks = 0;
  int64_t dw_elements, filters, together, blocks, parts, panel_groups;
  size_t partials_at, partial_bytes, total;

  WeightLayout(const ConvJob& j, DType dtype) : panels(j, dtype), way(way_of(j, dtype)) {
    for_weight_rects(j, way, [&](const PixelRect&, const ConvRuns&, int64_t count) { chunks += count; });
    filters = j.groups * j.fg;
    dw_elements = j.depth() * filters;
    partial_bytes = align64(checked_product(j.depth() + 1, filters, 1, itemsize(dtype)));
    together = kPackedBytes / static_cast<int64_t>(itemsize(dtype)) / (kChunkPixels * panels.nr);
    const int64_t groups = std::max<int64_t>(ceil_div(panels.count, together), 1);
    const int64_t items = std::clamp<int64_t>(j.n * j.oh * j.ow * dw_elements / kItemProducts, 1, kItems);
    blocks = std::min({ceil_div(items, groups), kPartialBytes / static_cast<int64_t>(partial_bytes),
                       j.n * j.oh * j.ow / kBlockPixels, chunks});
    blocks = std::max<int64_t>(blocks, 1);
    parts = way == Way::alike
                ? 1
                : std::clamp<int64_t>(j.depth() / kPartDepth, 1, ceil_div(items, groups * blocks));
    panel_groups = std::max(share_panels(panels.count, blocks * parts, items), groups);
    partials_at = align64(checked_product(j.depth(), 1, 1, sizeof(int64_t)));
    total = partials_at + (blocks > 1 ? checked_product(blocks, 1, 1, partial_bytes) : 0);
  }
  // Where a part begins among the products, or, by rows, among the channels of all rows of taps.
  int64_t part_begin(const ConvJob& j, int64_t part) const {
    if (way != Way::rows) return j.depth() * part / parts;
    constexpr int64_t kTile = 4;  // channels
    return part == parts ? j.kh * j.kc : j.kh * j.kc / kTile * part / parts * kTile;
  }
};

// dw [k0, k1), see part_begin, and db of the panels [p0, p1) of filters from the chunks [first, last) of the
// pixels.
template <class T>
void weight_item(const ConvJob& j, DType dtype, Way way, const Panels& panels, int64_t p0, int64_t p1,
                 int64_t first, int64_t last, int64_t k0, int64_t k1, const int64_t* taps, const T* source,
                 const T* dy, const ConvEpilogueGrad& e, T* dw, T* db) {
  const bool is_float = dtype == DType::kFloat32;
  const auto pack = is_float ? kernels().pack_grad_f32 : kernels().pack_grad_f64;
  const auto kernel = is_float ? kernels().weight_f32 : kernels().weight_f64;
  const int64_t filters = j.groups * j.fg;
  const bool by_tap = way == Way::taps;
  alignas(64) T packed[kPackedBytes / sizeof(T)];
  const int64_t panel_elements = kChunkPixels * panels.nr;
  const auto width = [&](int64_t p) { return static_cast<int>(std::min(panels.nr, j.fg - panels.first(p))); };
  const Axis vertical{j.h, j.kh, j.stride_h, j.step_h, j.top},
      horizontal{j.w, j.kw, j.stride_w, j.step_w, j.left};
  PixelList list;
  int64_t in_order[kChunkPixels];
  PixelList::fill(in_order, kChunkPixels, 0, panels.nr);
  int64_t chunk = 0;
  const auto run_rows = [&](int64_t begin, int64_t end) {  // rows of outputs of all images
    for (int64_t a = k0 / j.kc; a < ceil_div(k1, j.kc); ++a) {
      const int64_t k = std::max(k0 - a * j.kc, int64_t{0}), k_end = std::min(k1 - a * j.kc, j.kc);
      list.count = 0;
      for (int64_t row = begin; row < end; ++row) {
        const int64_t image = row / j.oh, y = row % j.oh;
        if (y < vertical.first(a) || y >= vertical.end(a, j.oh)) continue;
        const int64_t source_row = image * j.h + j.top + y * j.stride_h + a * j.step_h;
        list.add(1, source_row * j.w * j.c, 0, (row - begin) * j.ow * panels.nr, 0);
      }
      for (int64_t p = p0; p < p1; ++p) {
        row_kernels().weight({.a = source + panels.group(p) * j.kc + k,
                              .rows = list.pixels,
                              .outs = list.outs,
                              .count = list.count,
                              .pixel = j.c,
                              .w = j.w,
                              .ow = j.ow,
                              .left = -j.left,
                              .taps = j.kw,
                              .channels = k_end - k,
                              .dz = packed + (p - p0) * panel_elements,
                              .dw = dw + (a * j.kw * j.kc + k) * filters + panels.filter(j, p),
                              .dw_row = filters,
                              .dw_tap = j.kc * filters,
                              .n = width(p),
                              .add = chunk > first});
      }
    }
  };
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
    if (way == Way::rows) return run_rows(begin / j.ow, end / j.ow);
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
  for_weight_rects(j, way, [&](const PixelRect& rect, const ConvRuns& runs, int64_t chunks) {
    const int64_t whole = way == Way::rows ? j.ow : 1;  // pixels that stay together
    for (int64_t i = 0; i < chunks; ++i, ++chunk) {
      if (chunk < first || chunk >= last) continue;
      run_chunk(rect, runs, rect.count() / whole * i / chunks * whole,
                rect.count() / whole * (i + 1) / chunks * whole);
    }
  });
}

template <class T>
void run_typed(const ConvJob& j, DType dtype, const T* source, const T* dy, T* dw, const ConvEpilogueGrad& e,
               char* scratch) {
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
    const int64_t k0 = layout.part_begin(j, part), k1 = layout.part_begin(j, part + 1);
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
    if (layout.way == Way::alike || first == last) {
      for (int64_t k = k0; k < k1; ++k)
        std::memset(to + k * layout.filters + begin, 0, (end - begin) * sizeof(T));
    }
    for (int64_t p = p0; p < p1; p += layout.together) {
      weight_item(j, dtype, layout.way, panels, p, std::min(p1, p + layout.together), first, last, k0, k1,
                  taps, source, dy, epilogue, to, to_db);
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

}  // namespace

size_t weight_scratch(const ConvJob& j, DType dtype) { return WeightLayout(j, dtype).total; }

void run_weight(const ConvJob& j, DType dtype, const void* source, const void* dy, void* dw,
                const ConvEpilogueGrad& e, void* scratch) {
  char* s = static_cast<char*>(scratch);
  if (dtype == DType::kFloat32) {
    return run_typed<float>(j, dtype, static_cast<const float*>(source), static_cast<const float*>(dy),
                            static_cast<float*>(dw), e, s);
  }
  run_typed<double>(j, dtype, static_cast<const double*>(source), static_cast<const double*>(dy),
                    static_cast<double*>(dw), e, s);
}

}  // namespace lamina::conv_direct
