#include "ops/gemm_dots.h"

#include <algorithm>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"

namespace lamina {

LAMINA_KERNELS(GemmDotsKernels, gemm_dots_kernels)

namespace {

constexpr int64_t kMaxRows = 16;                        // of A: more are worth packing B
constexpr int64_t kMaxCols = 8;                         // of B: more fill a vector
constexpr int64_t kMinTerms = 64, kMinTermsOfRow = 16;  // else adding lanes costs more than packing B
constexpr int64_t kLargeOperand = 4096;   // elements; smaller ones stay in L1 however they are read
constexpr int64_t kFarOperand = 4 << 20;  // elements; worth asking for ahead of the few rows that share it,
constexpr int64_t kFarOfRow = 320 << 10;  // and of a single one
constexpr int64_t kBlock = 16;            // of the many, a thread's unit

// Rows of A are the few, columns of B the many; else the other way round. The same for every slice of k.
bool few_rows(const GemmArgs& g) { return g.m <= kMaxRows && g.b_row == 1 && (g.m <= g.n || g.a_col != 1); }

struct Roles {
  const void *few, *many;
  int64_t num_few, num_many, few_row, few_col, many_row, c_few, c_many;
  bool copies() const { return few_col != 1; }
};

Roles roles_of(const GemmArgs& g, const void* a, const void* b) {
  if (few_rows(g)) return {a, b, g.m, g.n, g.a_row, g.a_col, g.b_col, g.c_row, 1};
  return {b, a, g.n, g.m, g.b_col, g.b_row, g.a_row, 1, g.c_row};
}

// Rough nanoseconds for one of the many: reading it from beyond L2, or multiplying.
double cost_of(const GemmArgs& g, int64_t num_few) {
  const auto bytes = static_cast<double>(g.k) * static_cast<double>(itemsize(g.dtype));
  return bytes * std::max(0.02, 0.005 * static_cast<double>(num_few));
}

template <class T>
void run(const GemmArgs& g, void (*kernel)(const GemmDots&), const T* a, const T* b, T* c, T* scratch) {
  Roles r = roles_of(g, a, b);
  if (r.copies()) {
    const T* from = static_cast<const T*>(r.few);
    for (int64_t i = 0; i < r.num_few; ++i) {
      for (int64_t k = 0; k < g.k; ++k) scratch[i * g.k + k] = from[i * r.few_row + k * r.few_col];
    }
    r.few = scratch;
    r.few_row = g.k;
  }
  const T* many = static_cast<const T*>(r.many);
  const bool far = (r.num_few >= 4 && r.num_many * g.k >= kFarOperand) ||
                   (r.num_few == 1 && (g.cold || r.num_many * g.k >= kFarOfRow));
  parallel_for(ceil_div(r.num_many, kBlock), g.grain(kBlock * cost_of(g, r.num_few)),
               [&](int64_t begin, int64_t end) {
                 const int64_t j = begin * kBlock, size = std::min(r.num_many, end * kBlock) - j;
                 kernel({r.few, many + j * r.many_row, c + j * r.c_many, r.num_few, size, g.k, r.few_row,
                         r.many_row, r.c_few, r.c_many, g.accumulate, far});
               });
}

}  // namespace

bool gemm_is_dots(const GemmArgs& g) {
  if (g.k < kMinTerms) return false;
  if (few_rows(g)) return g.k >= kMinTermsOfRow * g.m && g.k * g.n > kLargeOperand;
  return g.n <= kMaxCols && g.a_col == 1 && g.k * g.m > kLargeOperand;
}

size_t gemm_dots_scratch_bytes(const GemmArgs& g) {
  const Roles r = roles_of(g, nullptr, nullptr);
  return r.copies() ? static_cast<size_t>(r.num_few * g.k) * itemsize(g.dtype) : 0;
}

double gemm_dots_cost(const GemmArgs& g) {
  const Roles r = roles_of(g, nullptr, nullptr);
  return static_cast<double>(r.num_many) * cost_of(g, r.num_few);
}

void gemm_dots_run(const GemmArgs& g, const void* a, const void* b, void* c, void* scratch) {
  if (g.dtype == DType::kFloat32) {
    return run(g, gemm_dots_kernels().f32, static_cast<const float*>(a), static_cast<const float*>(b),
               static_cast<float*>(c), static_cast<float*>(scratch));
  }
  run(g, gemm_dots_kernels().f64, static_cast<const double*>(a), static_cast<const double*>(b),
      static_cast<double*>(c), static_cast<double*>(scratch));
}

}  // namespace lamina
