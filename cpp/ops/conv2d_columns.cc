#include "ops/conv2d_columns.h"

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/conv2d_direct.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"

namespace lamina {

LAMINA_KERNELS(ColumnsKernels, columns_kernels)

namespace {

// Else too few products for each element of the columns, which are written and read again: conv2d_planar is
// faster.
constexpr int64_t kFewChannels = 8, kManyFilters = 32, kManyTaps = 16;
constexpr int64_t kStageBytes = 1 << 20;   // columns of the images of one product
constexpr int64_t kColumnBytes = 4 << 20;  // of one image, at most

// The product of a stage of whole images.
struct Layout {
  int64_t images;
  size_t columns_bytes;
  GemmArgs gemm;

  Layout(const ConvJob& j, DType dtype) {
    const int64_t pixels = j.oh * j.ow, depth = j.depth();
    const auto image_bytes = static_cast<int64_t>(itemsize(dtype)) * pixels * depth;
    images = std::clamp<int64_t>(kStageBytes / image_bytes, 1, j.n);
    gemm = {.dtype = dtype,
            .precision = j.precision,
            .m = images * pixels,
            .n = depth,
            .k = j.fg,
            .a_row = j.fg,
            .a_col = 1,
            .b_row = 1,
            .b_col = j.fg,
            .c_row = depth};
    columns_bytes = align64(static_cast<size_t>(images * image_bytes));
  }
};

}  // namespace

bool conv_columns_pay(const ConvJob& j, DType dtype) {
  return j.groups == 1 && j.c <= kFewChannels && j.kh * j.kw * j.c >= kManyTaps && j.kw > 1 &&
         j.fg >= kManyFilters && j.n * j.oh * j.ow > 0 &&
         j.oh * j.ow * j.depth() * static_cast<int64_t>(itemsize(dtype)) <= kColumnBytes;
}

size_t conv_columns_scratch(const ConvJob& j, DType dtype) {
  const Layout layout(j, dtype);
  GemmArgs last = layout.gemm;  // of the images left for the last stage: fewer rows may be cut otherwise
  last.m = j.n % layout.images * j.oh * j.ow;
  return layout.columns_bytes + std::max(gemm_scratch_bytes(layout.gemm), gemm_scratch_bytes(last));
}

void run_conv_columns(const ConvJob& j, DType dtype, const void* dy, const void* w, void* dx, void* scratch) {
  const Layout layout(j, dtype);
  const auto add = dtype == DType::kFloat32 ? columns_kernels().add_f32 : columns_kernels().add_f64;
  const auto item_bytes = static_cast<int64_t>(itemsize(dtype));
  const int64_t dy_image = j.oh * j.ow * j.fg * item_bytes, dx_image = j.h * j.w * j.c * item_bytes;
  const int64_t column_image = j.oh * j.ow * j.depth() * item_bytes;
  char* columns = static_cast<char*>(scratch);
  for (int64_t image = 0; image < j.n; image += layout.images) {
    const int64_t images = std::min(layout.images, j.n - image);
    GemmArgs gemm = layout.gemm;
    gemm.m = images * j.oh * j.ow;
    gemm_run(gemm, static_cast<const char*>(dy) + image * dy_image, w, nullptr, columns,
             columns + layout.columns_bytes);
    const double cost = 0.2 * static_cast<double>(j.oh * j.ow * j.depth());
    parallel_for(images, grain_for(cost), [&](int64_t begin, int64_t end) {
      char* to = static_cast<char*>(dx) + (image + begin) * dx_image;
      std::memset(to, 0, static_cast<size_t>((end - begin) * dx_image));
      for (int64_t i = begin; i < end; ++i, to += dx_image) {
        add({columns + i * column_image, to, j.h, j.w, j.c, j.oh, j.ow, j.kh, j.kw, j.stride_h, j.stride_w,
             j.step_h, j.step_w, j.top, j.left});
      }
    });
  }
}

}  // namespace lamina
