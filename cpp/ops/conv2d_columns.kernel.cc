// Adding columns to images, see conv2d_columns.h.
#include "ops/conv2d_columns.h"

#include "simd/vec.h"

namespace lamina {
namespace {

template <class T>
LAMINA_INLINE void add_run(const T* from, T* to, int64_t n) {
  for (int64_t i = 0; i < n; i += Vec<T>::kLanes) {
    const int lanes = lanes_at<T>(n, i);
    (Vec<T>::load(to + i, lanes) + Vec<T>::load(from + i, lanes)).store(to + i, lanes);
  }
}

template <class T>
void add(const ColumnsArgs& a) {
  const T* columns = static_cast<const T*>(a.columns);
  T* dx = static_cast<T*>(a.dx);
  const int64_t taps = a.step_w == 1 ? 1 : a.kw;          // runs of a row of taps
  const int64_t run = a.step_w == 1 ? a.kw : int64_t{1};  // pixels in each
  for (int64_t i = 0; i < a.oh; ++i) {
    for (int64_t j = 0; j < a.ow; ++j) {
      for (int64_t p = 0; p < a.kh; ++p, columns += a.kw * a.c) {
        const int64_t h = a.top + i * a.stride_h + p * a.step_h;
        if (h < 0 || h >= a.h) continue;
        for (int64_t q = 0; q < taps; ++q) {
          const int64_t w = a.left + j * a.stride_w + q * a.step_w;
          const int64_t begin = simd_max<int64_t>(0, -w), end = simd_min(run, a.w - w);
          if (begin >= end) continue;
          add_run(columns + (q + begin) * a.c, dx + (h * a.w + w + begin) * a.c, (end - begin) * a.c);
        }
      }
    }
  }
}

}  // namespace

namespace LAMINA_ROW {
extern const ColumnsKernels columns_kernels;
const ColumnsKernels columns_kernels = {add<float>, add<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
