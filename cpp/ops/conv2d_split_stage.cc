#include "ops/conv2d_split_stage.h"

#include "base/dtype.h"
#include "base/parallel.h"

namespace lamina::conv_split {

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

void fill_steps(const ConvJob& j, const Layout& layout, int64_t* steps) {
  for (int64_t unit = 0; unit < units_of(j); ++unit) {
    const Unit u(j, unit);
    steps[unit] = (u.tap_row * j.step_h * layout.plane_w + u.tap_column * j.step_w) * j.c + u.channel;
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
