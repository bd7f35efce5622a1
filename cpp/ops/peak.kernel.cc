#include "ops/peak.h"

#include "simd/vec.h"

namespace lamina {
namespace {

float multiply_add(int64_t rounds) {
  VecF chain[kFmaChains];
  for (int k = 0; k < kFmaChains; ++k) chain[k] = VecF(static_cast<float>(k));
  const VecF scale(0.5f), shift(1.0f);  // every chain goes to 2: no overflow, no denormals
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < kFmaChains; ++k) chain[k] = fma(chain[k], scale, shift);
  }
  VecF sum(0.0f);
  for (int k = 0; k < kFmaChains; ++k) sum += chain[k];
  return reduce_add(sum);
}

void triad(const float* b, const float* c, float s, float* a, int64_t n) {
  const VecF scale(s);
  for (int64_t i = 0; i < n; i += VecF::kLanes) {
    const int k = lanes_at<float>(n, i);
    fma(VecF::load(c + i, k), scale, VecF::load(b + i, k)).store(a + i, k);
  }
}

}  // namespace

namespace LAMINA_ROW {
extern const PeakKernels peak_kernels;
const PeakKernels peak_kernels = {multiply_add, VecF::kLanes, triad};
}  // namespace LAMINA_ROW
}  // namespace lamina
