#include "ops/conv2d_direct.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/parallel.h"
#include "ops/conv2d_depthwise.h"
#include "ops/conv2d_direct_pixels.h"
#include "ops/conv2d_planar.h"
#include "ops/conv2d_product.h"
#include "ops/conv2d_split.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_KERNELS(ConvKernels, conv_kernels)

namespace conv_direct {

const ConvKernels& kernels() { return conv_kernels(); }

size_t checked_product(int64_t a, int64_t b, int64_t c, size_t d) {
  size_t r = d;
  check(!__builtin_mul_overflow(r, a, &r) && !__builtin_mul_overflow(r, b, &r) &&
            !__builtin_mul_overflow(r, c, &r) && r < (size_t{1} << 62),
        "conv2d", "the workspace does not fit memory. Received: sizes ", a, " x ", b, " x ", c, ".");
  return r;
}

}  // namespace conv_direct

namespace {

using namespace conv_direct;

constexpr int64_t kUnitPixels = 56;         // at least
constexpr int64_t kTileImages = 8;          // to fill the tiles of one border position
constexpr int64_t kUnitBytes = 1 << 20;     // of the source, read again for every panel: in L2
constexpr int64_t kNearBytes = 1 << 20;     // of a source that may still be in L2
constexpr int64_t kPanelBytes = 256 << 10;  // of panels that go over some pixels one after the other
constexpr int64_t kPackAhead = 16;          // rows of filters
constexpr int64_t kListPixels = 252, kFewPixels = 112;  // of one kernel call: whole tiles

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

// Lines written past the caches need not be read first: where y is larger than what L2 and L3 keep for the
// next reader, and every panel of filters fills its lines.
bool writes_past_caches(const ConvJob& j, DType dtype, int64_t nr, Activation activation, const void* y) {
  constexpr int64_t kBytes = 16 << 20, kLine = 64, kItem = sizeof(float);
  const auto whole = [](int64_t elements) { return elements * kItem % kLine == 0; };
  return dtype == DType::kFloat32 && (activation == Activation::none || activation == Activation::relu) &&
         j.n * j.oh * j.ow * j.groups * j.fg * kItem >= kBytes && j.fg % nr == 0 && whole(nr) &&
         whole(j.y_base) && whole(j.y_image) && whole(j.y_row) && whole(j.y_col) &&
         reinterpret_cast<uintptr_t>(y) % kLine == 0;
}

template <class T>
void run_job(const ConvJob& j, DType dtype, const T* source, const T* w, const T* bias, Activation activation,
             T* y, char* scratch) {
  const JobLayout layout(j, dtype);
  const Units& units = layout.units;
  const Panels& panels = layout.panels;
  const bool past_caches = writes_past_caches(j, dtype, panels.nr, activation, y);
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
  const int64_t step = tap_count == 1 && together > 1 ? kFewPixels : kListPixels;
  const auto item_bytes = static_cast<int64_t>(sizeof(T));
  // Each tile is the first to see as much of the source as its pixels have, in depth() steps.
  const bool far = j.n * j.h * j.w * j.c * item_bytes > kNearBytes && j.kc * item_bytes >= 64;
  const int64_t stream = far && tap_count > 0 ? ceil_div(64 / item_bytes, tap_count) : 0;
  const int64_t most = most_of_piece(j, dtype);
  const auto result_of = [&](int64_t p) -> ConvResult {
    const int64_t first = panels.first(p), f = panels.group(p) * j.fg + first;
    return {.bias = bias != nullptr ? bias + f : nullptr,
            .y = y + f,
            .n = static_cast<int>(std::min(panels.nr, j.fg - first)),
            .activation = activation,
            .past_caches = past_caches};
  };
  const double flops = 2.0 * j.n * j.oh * j.ow * (j.depth() + 4) * j.groups * j.fg;
  parallel_for(items, grain_for(flops / kFlopsPerNs / items), [&](int64_t begin, int64_t end) {
    PixelList list;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t part = item % layout.panel_groups, stop = std::min(panels.count, (part + 1) * each);
      const PixelRect unit = units.rect(j, item / layout.panel_groups);
      for (int64_t p0 = part * each; p0 < stop; p0 += together) {
        const int64_t p1 = std::min(stop, p0 + together);
        if (once) pack(p0 * tap_count, p1 * tap_count);
        const auto by_pieces = [&](ConvRowBlock& block, int64_t k) {
          const int64_t ahead = stream > 0 ? block.stream : 0;
          for (int64_t p = p0; p < p1; ++p) {
            block.a = source + panels.group(p) * j.kc + taps[k];
            block.b = packed + p * panel_elements + k * panels.nr;
            block.stream = p == p0 ? ahead : 0;
            block.result = result_of(p);
            row_kernels().block(block);
          }
          block.stream = ahead;
        };
        if (most > 0) {
          for_pieces(j, unit, most, kListPixels, by_pieces);
          continue;
        }
        for_alike(j, unit, false, [&](const PixelRect& rect, const ConvRuns& runs) {
          const int64_t segment = segment_of(j, std::min(j.kw, runs.length / j.kc));
          for (int64_t m = 0; m < rect.count(); m += step) {
            list.count = 0;
            rect.for_rows(m, std::min(rect.count(), m + step),
                          [&](int64_t image, int64_t row, int64_t col, int64_t n) {
                            list.add(n, source_at(j, image, row, col), j.stride_w * j.c,
                                     j.y_base + image * j.y_image + row * j.y_row + col * j.y_col, j.y_col);
                          });
            for (int64_t p = p0; p < p1; ++p) {
              kernel({.a = source + panels.group(p) * j.kc,
                      .pixels = list.pixels,
                      .outs = list.outs,
                      .count = list.count,
                      .runs = runs,
                      .taps = taps,
                      .segment = segment,
                      .b = packed + p * panel_elements,
                      .stream = p == p0 && runs.count > 0 ? stream : 0,
                      .result = result_of(p)});
            }
          }
        });
      }
    }
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
  const size_t direct = conv_direct::weight_scratch(job, dtype);
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
  conv_direct::run_weight(job, dtype, source, dy, dw, e, scratch);
}

}  // namespace lamina
