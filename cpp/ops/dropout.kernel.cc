// y = kept ? x * scale : 0.
#include "ops/dropout.kernel.h"

namespace lamina {
namespace {

template <class T>
void dropout(const void* x_, void* y_, int64_t begin, int64_t end, const int64_t* state, uint32_t last,
             double scale_) {
  const T* x = static_cast<const T*>(x_);
  T* y = static_cast<T*>(y_);
  const T scale = static_cast<T>(scale_);
  for (int64_t at = begin; at < end; at += kDropoutBlock) {
    uint32_t bits[kDropoutBlock];
    draws(state, static_cast<uint64_t>(at) / 4, bits);
    const int64_t n = end - at < kDropoutBlock ? end - at : kDropoutBlock;
    for (int64_t i = 0; i < n; ++i) y[at + i] = bits[i] <= last ? x[at + i] * scale : T(0);
  }
}

}  // namespace

namespace LAMINA_ROW {
extern const DropoutKernels dropout_kernels;
const DropoutKernels dropout_kernels = {dropout<float>, dropout<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
