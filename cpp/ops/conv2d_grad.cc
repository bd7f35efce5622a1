#include "ops/conv2d_grad.h"

#include <algorithm>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/conv2d_direct.h"
#include "ops/gemm.h"

namespace lamina {

const void* conv_dz(const ConvEpilogueGrad& e, DType dtype, const void* dy, int64_t first, int64_t pixels,
                    int64_t f, bool accumulate, void* temporary, void* sums) {
  const auto item = static_cast<int64_t>(itemsize(dtype));
  const auto past = [](const void* p, int64_t bytes) { return static_cast<const char*>(p) + bytes; };
  const auto to = [](void* p, int64_t bytes) { return static_cast<char*>(p) + bytes; };
  const char* from = past(dy, first * f * item);
  const bool active = e.activation != Activation::none;
  if (!active && !e.db) return from;
  const GemmTypeKernels& kernels = gemm_kernels_of(dtype);
  const char* y = active ? past(e.y, first * f * item) : nullptr;
  char* dz = !active ? nullptr : e.dz ? to(e.dz, first * f * item) : static_cast<char*>(temporary);
  const int64_t blocks = ceil_div(pixels, kGradRows), block_bytes = kGradRows * f * item;
  parallel_for(blocks, grain_for(0.3 * static_cast<double>(kGradRows * f)), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t at = block * block_bytes;
      kernels.grad(e.activation, from + at, y ? y + at : nullptr, dz ? dz + at : nullptr,
                   to(sums, block * f * item), std::min(kGradRows, pixels - block * kGradRows), f);
    }
  });
  if (e.db) kernels.combine(sums, f, blocks, e.db, f, accumulate);
  return dz ? dz : from;
}

}  // namespace lamina
