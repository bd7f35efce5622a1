#include "ops/conv2d_split_stage.h"

#include "base/dtype.h"
#include "base/parallel.h"

namespace lamina::conv_split {

bool fill_planes(const ConvJob& j, const Layout& layout, const Stage& stage, const float* source,
                 uint16_t* planes, bool* fits) {
  const auto split = conv_split_kernels()->split[layout.parts - 1];
  const int64_t top = j.top + stage.row * j.stride_h, c = j.c, width = layout.plane_w,
                height = layout.phases_h * layout.plane_h;
  const double cost = kSplitCost * static_cast<double>(layout.phases_w * width * c);
  const int64_t all = stage.images * height;
  parallel_for(all, grain_for(cost), [&](int64_t begin, int64_t stop) {
    for (int64_t r = begin; r < stop; ++r) {  // row of one image and phase: of columns every phase
      const int64_t image = r / height, phase = r % height / layout.plane_h, row = r % layout.plane_h;
      const int64_t h = top + row * j.stride_h + phase;
      const bool inside = h >= 0 && h < j.h;
      const float* from = source + ((stage.image + image) * j.h + h) * j.w * c;
      fits[r] = true;
      for (int64_t q = 0; q < layout.phases_w; ++q) {
        uint16_t* to = planes + layout.position_at(image, phase * layout.phases_w + q, row, 0);
        // Columns [first, end) lie in the image.
        const int64_t first =
            inside ? std::clamp<int64_t>(ceil_div(-(j.left + q), j.stride_w), 0, width) : width;
        const int64_t end = std::clamp<int64_t>(ceil_div(j.w - j.left - q, j.stride_w), first, width);
        for (int64_t i = 0; i < layout.parts * (c / kSplitUnit); ++i) {  // plane is whole channel_planes
          uint16_t* row_of = to + i * layout.channel_plane;
          std::fill_n(row_of, first * kSplitUnit, uint16_t{0});
          std::fill_n(row_of + end * kSplitUnit, (width - end) * kSplitUnit, uint16_t{0});
        }
        if (first == end) continue;
        const float* src = from + (j.left + q + first * j.stride_w) * c;
        const bool good = split({.src = src,
                                 .after = src + j.stride_h * j.w * c,
                                 .step = j.stride_w * c,
                                 .dst = to + first * kSplitUnit,
                                 .pixels = end - first,
                                 .channels = c,
                                 .channel_plane = layout.channel_plane,
                                 .plane = layout.plane});
        fits[r] = fits[r] && good;
      }
    }
  });
  return all_fit(fits, all);
}

ConvSplitAhead source_ahead(const ConvJob& j, const Layout& layout, const Stage& stage, const float* source,
                            int64_t i, int64_t items) {
  constexpr int64_t kLine = 16, kMostLines = (512 << 10) / 64;  // floats of a line
  if (stage.images == 0 || layout.phases_h < j.stride_h || layout.phases_w < j.stride_w ||
      stage_bytes_of(j) > Layout::kStageBytes)
    return {nullptr, 0};
  const int64_t below = j.top + (stage.row + stage.rows - 1) * j.stride_h + (j.kh - 1) * j.step_h + 1;
  const int64_t first = std::clamp<int64_t>(j.top + stage.row * j.stride_h, 0, j.h),
                end = stage.rows < j.oh ? std::clamp(below, first, j.h) : j.h;
  const int64_t count = ((stage.images - 1) * j.h + end - first) * j.w * j.c;
  const int64_t lines = std::min(count / kLine, kMostLines), at = lines * i / items;
  return {source + (stage.image * j.h + first) * j.w * j.c + at * kLine, lines * (i + 1) / items - at};
}

void fill_steps(const ConvJob& j, const Layout& layout, int64_t* steps) {
  for (int64_t unit = 0; unit < units_of(j); ++unit) {
    const Unit u(j, unit);
    const int64_t h = u.tap_row * j.step_h, w = u.tap_column * j.step_w;
    const int64_t phase = h % j.stride_h * layout.phases_w + w % j.stride_w;
    steps[unit] = layout.position_at(0, phase, h / j.stride_h, w / j.stride_w) +
                  u.channel / kSplitUnit * layout.channel_plane;
  }
}

double multiply_adds(const ConvJob& j) {
  // Pairs of an output and a tap that meet inside the source: outputs o with 0 <= start + o stride + t step <
  // size.
  const auto taps = [](int64_t out, int64_t taps, int64_t size, int64_t start, int64_t stride, int64_t step) {
    int64_t inside = 0;
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t first = std::max<int64_t>(0, ceil_div(-(start + t * step), stride));
      const int64_t end = std::min(out, ceil_div(size - start - t * step, stride));
      inside += std::max<int64_t>(0, end - first);
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

}  // namespace lamina::conv_split
