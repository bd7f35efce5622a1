#include "ops/conv2d_rows.h"

#include "base/dtype.h"
#include "ops/conv2d_direct_pixels.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_KERNELS(ConvRowKernels, conv_row_kernels)

namespace conv_direct {

const ConvRowKernels& row_kernels() { return conv_row_kernels(); }

int64_t most_of_piece(const ConvJob& j, DType dtype) {
  if (dtype != DType::kFloat32 || j.stride_w != 1 || j.step_w != 1 || j.kw > kMostRowTaps) return 0;
  const int64_t nr = kernels().nr_f32, last = j.fg % nr;
  return last == 0 || last > nr / 2 ? row_kernels().most[j.kw] : 0;
}

}  // namespace conv_direct
}  // namespace lamina
