#include "ops/conv2d_depthwise.h"

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/conv2d_depthwise_tile.h"
#include "ops/conv2d_direct.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_KERNELS(DepthwiseKernels, depthwise_kernels)

namespace {

constexpr int64_t kBlocks = 32;  // partial weight gradients: of nearly equal numbers of rows

const DepthwiseKernels::Table& table(DType dtype) {
  return dtype == DType::kFloat32 ? depthwise_kernels().f32 : depthwise_kernels().f64;
}
const char* at(const void* base, int64_t elements, DType dtype) {
  return static_cast<const char*>(base) + elements * static_cast<int64_t>(itemsize(dtype));
}
char* at(void* base, int64_t elements, DType dtype) {
  return static_cast<char*>(base) + elements * static_cast<int64_t>(itemsize(dtype));
}

// Of output row i.
DepthwiseGeometry geometry(const ConvJob& j, int64_t i) {
  const int64_t row = j.top + i * j.stride_h;
  const int64_t first = std::max<int64_t>(0, ceil_div(-row, j.step_h)),
                last = std::min(j.kh, ceil_div(j.h - row, j.step_h));
  return {.row = row,
          .first_tap = first,
          .last_tap = std::max(first, last),
          .width = j.w,
          .c = j.c,
          .columns = j.ow,
          .kw = j.kw,
          .stride = j.stride_w,
          .step = j.step_w,
          .left = j.left,
          .step_h = j.step_h};
}

double row_cost(const ConvJob& j) { return 0.1 * static_cast<double>(j.ow * j.c * (j.kh * j.kw + 2)); }

int64_t blocks_of(const ConvJob& j) { return std::clamp<int64_t>(j.n * j.oh, 1, kBlocks); }
size_t partial_bytes(const ConvJob& j, DType dtype) {
  return align64(static_cast<size_t>((j.kh * j.kw + 1) * j.c) * itemsize(dtype));
}

}  // namespace

bool is_depthwise(const ConvJob& j) {
  return j.kc == 1 && j.fg == 1 && j.groups == j.c && j.w_group == 1 && j.groups > 1;
}

void run_depthwise(const ConvJob& j, DType dtype, const void* source, const void* w, const void* bias,
                   Activation activation, void* y) {
  if (is_depthwise_tiled(j)) return run_depthwise_tiles(j, dtype, source, w, bias, activation, y);
  parallel_for(j.n * j.oh, grain_for(row_cost(j)), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t image = r / j.oh, i = r % j.oh;
      table(dtype).row({geometry(j, i), at(source, image * j.h * j.w * j.c, dtype), at(w, j.w_base, dtype),
                        bias, at(y, j.y_base + image * j.y_image + i * j.y_row, dtype), j.y_col, j.w_kh,
                        j.w_kw, activation});
    }
  });
}

size_t depthwise_weight_scratch(const ConvJob& j, DType dtype) {
  if (is_depthwise_tiled(j)) return depthwise_grads_scratch(j, dtype);
  return static_cast<size_t>(blocks_of(j)) * partial_bytes(j, dtype);
}

void run_depthwise_weight(const ConvJob& j, DType dtype, const void* source, const void* dy, void* dw,
                          const ConvEpilogueGrad& e, void* scratch) {
  if (is_depthwise_tiled(j)) {
    return run_depthwise_grads(j, dtype, source, nullptr, dy, nullptr, dw, e, scratch);
  }
  const int64_t blocks = blocks_of(j), rows = j.n * j.oh, weights = j.kh * j.kw * j.c;
  const auto item_bytes = static_cast<int64_t>(itemsize(dtype));
  const auto partial = [&](int64_t block) {
    return static_cast<char*>(scratch) + block * partial_bytes(j, dtype);
  };
  const double cost = row_cost(j) * static_cast<double>(rows) / static_cast<double>(blocks);
  parallel_for(blocks, grain_for(cost), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      char* sums = partial(block);
      std::memset(sums, 0, static_cast<size_t>((weights + j.c) * item_bytes));
      for (int64_t r = rows * block / blocks; r < rows * (block + 1) / blocks; ++r) {
        const int64_t image = r / j.oh, i = r % j.oh, out = j.y_base + image * j.y_image + i * j.y_row;
        table(dtype).weight_row({geometry(j, i), at(source, image * j.h * j.w * j.c, dtype),
                                 at(dy, out, dtype), e.y ? at(e.y, out, dtype) : nullptr,
                                 e.dz ? at(e.dz, out, dtype) : nullptr, sums,
                                 e.db ? sums + weights * item_bytes : nullptr, e.activation});
      }
    }
  });
  const auto add_up = [&]<class T>(T* to, int64_t first, int64_t n) {
    std::memcpy(to, partial(0) + first * item_bytes, static_cast<size_t>(n * item_bytes));
    for (int64_t block = 1; block < blocks; ++block) {
      const T* from = reinterpret_cast<const T*>(partial(block)) + first;
      for (int64_t i = 0; i < n; ++i) to[i] += from[i];
    }
  };
  const auto add_both = [&]<class T>(T* to) {
    add_up(to, 0, weights);
    if (e.db) add_up(static_cast<T*>(e.db), weights, j.c);
  };
  dtype == DType::kFloat32 ? add_both(static_cast<float*>(dw)) : add_both(static_cast<double*>(dw));
}

}  // namespace lamina
