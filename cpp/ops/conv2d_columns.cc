#include "ops/conv2d_columns.h"

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/parallel.h"
#include "ops/conv2d_direct.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"

namespace lamina {

LAMINA_KERNELS(ColumnsKernels, columns_kernels)

namespace {

constexpr int64_t kFewChannels = 8, kManyTaps = 16;
constexpr int64_t kPixels = 512;           // of one product, if images are smaller
constexpr int64_t kColumnBytes = 4 << 20;  // of one product, at most
constexpr int64_t kItems = 16;             // enough to keep cores busy

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
size_t align64(size_t n) { return (n + 63) & ~size_t{63}; }

// Items of some images, in chunks that have scratch of their own.
struct Layout {
  int64_t images, items, grain, slots;
  size_t columns_bytes, slot_bytes;
  GemmArgs gemm;

  Layout(const ConvJob& j, DType dtype) {
    const int64_t pixels = j.oh * j.ow, depth = j.depth();
    images = std::clamp<int64_t>(kPixels / pixels, 1, std::max<int64_t>(1, ceil_div(j.n, kItems)));
    items = ceil_div(j.n, images);
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
    grain = grain_for(2 * gemm_cost(gemm));
    const int64_t chunk = chunk_size(items, grain);
    slots = ceil_div(items, chunk);
    columns_bytes = align64(static_cast<size_t>(gemm.m * gemm.n) * itemsize(dtype));
    slot_bytes = columns_bytes + align64(gemm_scratch_bytes(gemm));
  }
};

}  // namespace

bool conv_columns_pay(const ConvJob& j, DType dtype) {
  return j.groups == 1 && j.c <= kFewChannels && j.kh * j.kw * j.c >= kManyTaps && j.kw * j.c > j.c &&
         j.fg >= 4 && j.n * j.oh * j.ow > 0 &&
         j.oh * j.ow * j.depth() * static_cast<int64_t>(itemsize(dtype)) <= kColumnBytes;
}

size_t conv_columns_scratch(const ConvJob& j, DType dtype) {
  const Layout layout(j, dtype);
  return static_cast<size_t>(layout.slots) * layout.slot_bytes;
}

void run_conv_columns(const ConvJob& j, DType dtype, const void* dy, const void* w, void* dx, void* scratch) {
  const Layout layout(j, dtype);
  const auto add = dtype == DType::kFloat32 ? columns_kernels().add_f32 : columns_kernels().add_f64;
  const auto item_bytes = static_cast<int64_t>(itemsize(dtype));
  const int64_t dy_image = j.oh * j.ow * j.fg * item_bytes, dx_image = j.h * j.w * j.c * item_bytes;
  const int64_t column_image = j.oh * j.ow * j.depth() * item_bytes,
                chunk = chunk_size(layout.items, layout.grain);
  parallel_for(layout.items, layout.grain, [&](int64_t begin, int64_t end) {
    char* columns = static_cast<char*>(scratch) + begin / chunk * layout.slot_bytes;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t image = item * layout.images, images = std::min(layout.images, j.n - image);
      GemmArgs gemm = layout.gemm;
      gemm.m = images * j.oh * j.ow;
      gemm_run(gemm, static_cast<const char*>(dy) + image * dy_image, w, nullptr, columns,
               columns + layout.columns_bytes);
      char* to = static_cast<char*>(dx) + image * dx_image;
      std::memset(to, 0, static_cast<size_t>(images * dx_image));
      for (int64_t i = 0; i < images; ++i) {
        add({columns + i * column_image, to + i * dx_image, j.h, j.w, j.c, j.oh, j.ow, j.kh, j.kw, j.stride_h,
             j.stride_w, j.step_h, j.step_w, j.top, j.left});
      }
    }
  });
}

}  // namespace lamina
