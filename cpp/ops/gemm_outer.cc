#include "ops/gemm_outer.h"

#include <algorithm>
#include <cstdint>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"

namespace lamina {

LAMINA_KERNELS(GemmOuterKernels, gemm_outer_kernels)

namespace {

constexpr int64_t kMaxTerms = 16;
constexpr int64_t kMinRows = 64, kMinCols = 64;
constexpr int64_t kMinResult = 1 << 20;   // elements of C; a smaller one may stay in L2
constexpr int64_t kPastCaches = 8 << 20;  // elements of C that are not read back soon
constexpr int64_t kUnit = 128 << 10;      // elements of C, a thread's unit: bias and activation find it in L2

// Rough nanoseconds for an element: writing it, or its terms.
double cost_of_element(const GemmArgs& g) { return std::max(0.2, 0.02 * static_cast<double>(g.k)); }

bool on_line(const void* p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; }

}  // namespace

bool gemm_is_outer(const GemmArgs& g) {
  return g.dtype == DType::kFloat32 && g.k <= kMaxTerms && g.m >= kMinRows && g.n >= kMinCols &&
         g.m * g.n >= kMinResult && g.b_col == 1 && (g.a_row == 1 || g.a_col == 1);
}

double gemm_outer_cost(const GemmArgs& g) {
  return cost_of_element(g) * static_cast<double>(g.m) * static_cast<double>(g.n);
}

void gemm_outer_run(const GemmArgs& g, const void* a, const void* b, const void* bias, const void* residual,
                    void* c) {
  const bool finishes = bias || residual || g.activation != Activation::none;
  const bool past_caches = !finishes && !g.accumulate && g.m * g.n >= kPastCaches && on_line(c) &&
                           g.c_row * static_cast<int64_t>(sizeof(float)) % 64 == 0;
  const int64_t unit = std::clamp(round_up(kUnit / g.n, 8), int64_t{8}, int64_t{256});
  parallel_for(ceil_div(g.m, unit), g.grain(cost_of_element(g) * static_cast<double>(unit * g.n)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t item = begin; item < end; ++item) {
                   const int64_t i = item * unit, rows = std::min(unit, g.m - i);
                   float* to = static_cast<float*>(c) + i * g.c_row;
                   gemm_outer_kernels().multiply({static_cast<const float*>(a) + i * g.a_row,
                                                  static_cast<const float*>(b), to, rows, g.n, g.k, g.a_row,
                                                  g.a_col, g.b_row, g.c_row, g.accumulate, past_caches});
                   if (!finishes) continue;
                   const float* add = residual ? static_cast<const float*>(residual) + i * g.c_row : nullptr;
                   gemm_kernels_of(g.dtype).finish(g.activation, bias, add, to, g.c_row, rows, g.n);
                 }
               });
}

}  // namespace lamina
