// M N K as in gemm.h; a register tile is R rows by NV vectors.
#include "ops/gemm_outer.h"

#include "simd/stream.h"

namespace lamina {
namespace {

constexpr int kRows = LAMINA_VEC_REGISTERS == 32 ? 8 : 4, kVectors = 2;
constexpr int64_t kBlockN = 1024;  // columns of B, which 16 rows of it keep in L2, most often in L1

// kUnitRow: A(i, k) = a[i + k * a_col], else a[i * a_row + k]. kTail: n < kLanes columns.
template <bool kUnitRow, bool kTail, int NV, int R>
LAMINA_INLINE void tile(const GemmOuter& g, int64_t i0, int64_t j0, int n = 0) {
  using V = Vec<float>;
  constexpr int kLanes = V::kLanes;
  V acc[R][NV];
  const float *a = g.a + i0 * g.a_row, *b = g.b + j0;
  for (int64_t k = 0; k < g.k; ++k) {
    V row[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) row[j] = kTail ? V::load(b, n) : V::load(b + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const V x(kUnitRow ? a[i] : a[i * g.a_row]);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) acc[i][j] = fma(x, row[j], acc[i][j]);
    }
    a += g.a_col;
    b += g.b_row;
  }
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i) {
    float* c = g.c + (i0 + i) * g.c_row + j0;
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      V& sum = acc[i][j];
      if constexpr (kTail) {
        if (g.accumulate) sum += V::load(c, n);
        sum.store(c, n);
      } else if (g.past_caches) {
        stream(c + j * kLanes, sum);
      } else {
        if (g.accumulate) sum += V::load(c + j * kLanes);
        sum.store(c + j * kLanes);
      }
    }
  }
}

template <bool kUnitRow, int R>
void rows(const GemmOuter& g, int64_t i, int64_t j, int64_t end) {
  constexpr int kLanes = Vec<float>::kLanes;
  for (; j + kVectors * kLanes <= end; j += kVectors * kLanes) tile<kUnitRow, false, kVectors, R>(g, i, j);
  for (; j + kLanes <= end; j += kLanes) tile<kUnitRow, false, 1, R>(g, i, j);
  if (j < end) tile<kUnitRow, true, 1, R>(g, i, j, static_cast<int>(end - j));
}

template <bool kUnitRow>
void multiply_all(const GemmOuter& g) {
  for (int64_t j = 0; j < g.n; j += kBlockN) {
    const int64_t end = simd_min(g.n, j + kBlockN);
    int64_t i = 0;
    for (; i + kRows <= g.m; i += kRows) rows<kUnitRow, kRows>(g, i, j, end);
    for (; i < g.m; ++i) rows<kUnitRow, 1>(g, i, j, end);
  }
  if (g.past_caches) stream_fence();
}

void multiply(const GemmOuter& g) { g.a_row == 1 ? multiply_all<true>(g) : multiply_all<false>(g); }

}  // namespace

namespace LAMINA_ROW {
extern const GemmOuterKernels gemm_outer_kernels;
const GemmOuterKernels gemm_outer_kernels = {multiply};
}  // namespace LAMINA_ROW
}  // namespace lamina
