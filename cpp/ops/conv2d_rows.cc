#include "ops/conv2d_rows.h"

#include "base/dtype.h"
#include "ops/conv2d_direct_pixels.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_KERNELS(ConvRowKernels, conv_row_kernels)

namespace conv_direct {
namespace {

constexpr int64_t kLeastRowChannels = 3;

}  // namespace

const ConvRowKernels& row_kernels() { return conv_row_kernels(); }

int64_t most_of_piece(const ConvJob& j, DType dtype) {
  if (dtype != DType::kFloat32 || j.stride_w != 1 || j.step_w != 1 || j.kw > kMostRowTaps) return 0;
  const int64_t nr = kernels().nr_f32, last = j.fg % nr;
  return last == 0 || last > nr / 2 ? row_kernels().most[j.kw] : 0;
}

bool takes_row_weights(const ConvJob& j, DType dtype) {
  if (most_of_piece(j, dtype) == 0 || (j.kw != 3 && j.kw != 5) || j.kc < kLeastRowChannels) return false;
  const int64_t left = -j.left, right = j.ow + j.kw - 1 - j.w - left;
  return j.n * j.oh > 0 && j.ow >= j.kw && j.ow <= kMostPixels && left >= 0 && left < j.kw && right >= 0 &&
         right < j.kw;
}

}  // namespace conv_direct
}  // namespace lamina
