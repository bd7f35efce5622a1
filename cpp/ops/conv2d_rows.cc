#include "ops/conv2d_rows.h"

#include "base/dtype.h"
#include "ops/conv2d_direct_pixels.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_KERNELS(ConvRowKernels, conv_row_kernels)

namespace conv_direct {
namespace {

constexpr int64_t kLeastRowChannels = 3;  // else a row of taps has too few products between its loads

// Outputs step along a row as their taps do, and each sees at least one of them.
bool steps_as_taps(const ConvJob& j) {
  const int64_t left = -j.left, right = j.ow + j.kw - 1 - j.w - left;
  return j.kw <= kMostRowTaps && j.kc >= kLeastRowChannels && j.stride_w == 1 && j.step_w == 1 && left >= 0 &&
         left < j.kw && right < j.kw;
}

}  // namespace

const ConvRowKernels& row_kernels() { return conv_row_kernels(); }

int64_t most_of_piece(const ConvJob& j, DType dtype) {
  const int64_t nr = kernels().nr_f32, last = j.fg % nr;
  return dtype == DType::kFloat32 && steps_as_taps(j) && j.ow >= kLeastPiece && (last == 0 || last > nr / 2)
             ? row_kernels().most[j.kw]
             : 0;
}

bool takes_row_weights(const ConvJob& j, DType dtype) {
  return most_of_piece(j, dtype) > 0 && (j.kw == 3 || j.kw == 5) && j.n * j.oh > 0 && j.ow >= j.kw &&
         j.ow <= kMostPixels;
}

}  // namespace conv_direct
}  // namespace lamina
