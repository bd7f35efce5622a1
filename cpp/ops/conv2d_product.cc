#include "ops/conv2d_product.h"

#include <algorithm>

#include "base/dtype.h"
#include "base/rounding.h"
#include "ops/conv2d_direct.h"
#include "ops/conv2d_grad.h"
#include "ops/gemm.h"
#include "ops/gemm_split.h"

namespace lamina {
namespace {

// Of a weight gradient; with fewer, turning x costs more than the products.
constexpr int64_t kMinChannels = 128;
// Else, by multiply-adds, packing x costs more than dw, read and written again for every chunk of pixels.
constexpr int64_t kManyProducts = 1 << 18;

// The pixels of both are all of their tensors, in order.
bool is_flat(const ConvJob& j) {
  return j.kh * j.kw == 1 && j.groups == 1 && j.stride_h == 1 && j.stride_w == 1 && j.top == 0 &&
         j.left == 0 && j.oh == j.h && j.ow == j.w && j.y_base == 0 && j.y_col == j.fg &&
         j.y_row == j.ow * j.fg && j.y_image == j.oh * j.y_row;
}

int64_t pixels_of(const ConvJob& j) { return j.n * j.oh * j.ow; }

GemmArgs as_product(const ConvJob& j, DType dtype, Activation activation) {
  return {.dtype = dtype,
          .precision = j.precision,
          .m = pixels_of(j),
          .n = j.fg,
          .k = j.kc,
          .a_row = j.c,
          .a_col = 1,
          .b_row = j.w_k,
          .b_col = j.w_f,
          .c_row = j.fg,
          .activation = activation};
}

GemmArgs as_weight_product(const ConvJob& j, DType dtype, int64_t pixels) {
  return {.dtype = dtype,
          .precision = j.precision,
          .m = j.kc,
          .n = j.fg,
          .k = pixels,
          .a_row = 1,
          .a_col = j.c,
          .b_row = j.fg,
          .b_col = 1,
          .c_row = j.fg};
}

// Where dz is computed, some pixels at a time, so that the product finds it in cache; as many as make dw,
// which every stage adds to, worth its way, and whole stretches of a product.
struct Stages {
  static constexpr int64_t kBytes = 1 << 20, kMaxBytes = 4 << 20, kPixels = 1024;
  int64_t pixels;
  size_t gemm_bytes, dz_bytes, sums_bytes;

  Stages(const ConvJob& j, DType dtype, bool dz_kept) {
    const auto item = static_cast<int64_t>(itemsize(dtype));
    const int64_t bytes = std::clamp(j.kc * j.fg * item, kBytes, kMaxBytes);
    pixels = std::min(pixels_of(j), round_up(ceil_div(bytes, j.fg * item), kPixels));
    gemm_bytes = 0;
    for (const int64_t k : {pixels, pixels_of(j) % pixels, pixels_of(j)}) {
      if (k > 0) gemm_bytes = std::max(gemm_bytes, gemm_scratch_bytes(as_weight_product(j, dtype, k)));
    }
    dz_bytes = dz_kept ? 0 : align64(static_cast<size_t>(pixels * j.fg * item));
    sums_bytes = align64(static_cast<size_t>(ceil_div(pixels, kGradRows) * j.fg * item));
  }
};

}  // namespace

bool is_product(const ConvJob& j, DType dtype) {
  return is_flat(j) && gemm_splits(as_product(j, dtype, Activation::none));
}

size_t product_scratch(const ConvJob& j, DType dtype) {
  return gemm_scratch_bytes(as_product(j, dtype, Activation::none));
}

void run_product(const ConvJob& j, DType dtype, const void* source, const void* w, const void* bias,
                 Activation activation, void* y, void* scratch) {
  gemm_run(as_product(j, dtype, activation), source,
           static_cast<const char*>(w) + j.w_base * static_cast<int64_t>(itemsize(dtype)), bias, y, scratch);
}

bool is_weight_product(const ConvJob& j, DType dtype) {
  return j.kc >= kMinChannels && is_flat(j) &&
         (j.kc * j.fg >= kManyProducts || gemm_splits(as_weight_product(j, dtype, pixels_of(j))));
}

size_t weight_product_scratch(const ConvJob& j, DType dtype, bool dz_kept) {
  const Stages stages(j, dtype, dz_kept);
  return stages.gemm_bytes + stages.dz_bytes + stages.sums_bytes;
}

void run_weight_product(const ConvJob& j, DType dtype, const void* source, const void* dy, void* dw,
                        const ConvEpilogueGrad& e, void* scratch) {
  const bool active = e.activation != Activation::none;
  const Stages stages(j, dtype, !active || e.dz);
  const auto item = static_cast<int64_t>(itemsize(dtype));
  char* dz = static_cast<char*>(scratch) + stages.gemm_bytes;
  char* sums = dz + stages.dz_bytes;
  const int64_t all = pixels_of(j), each = active || e.db ? stages.pixels : all;
  for (int64_t first = 0; first < all; first += each) {
    const int64_t pixels = std::min(each, all - first);
    GemmArgs gemm = as_weight_product(j, dtype, pixels);
    gemm.accumulate = first > 0;
    gemm_run(gemm, static_cast<const char*>(source) + first * j.c * item,
             conv_dz(e, dtype, dy, first, pixels, j.fg, gemm.accumulate, dz, sums), nullptr, dw, scratch);
  }
}

}  // namespace lamina
