#include "ops/gemm_skinny.h"

#include <algorithm>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"
#include "ops/gemm_split.h"
#include "ops/gemm_turned.h"

namespace lamina {

LAMINA_OPTIONAL_KERNELS(GemmSkinnyKernels, gemm_skinny_kernels)

namespace {

constexpr int kParts = 3;
constexpr int64_t kMinRows = 13, kMaxRows = 128, kMinColumns = 64, kMinTerms = 64;
constexpr size_t kMaxPartsA = 1 << 20;        // bytes that stay in L2
constexpr int64_t kUnits = 4, kMinUnit = 64;  // of columns, one for a thread; each splits an A of its own
constexpr double kMinThreadCost = 8e3;  // nanoseconds of a unit: less gains nothing from a second thread

// Nanoseconds: a chunk of B times 16 rows and times 32, splitting an element of A, what any product takes; a
// multiply-add of the fma path. Gains below a twentieth are none. Measured on the first machines with AMX;
// they decide which path is faster, so they are part of what fixes the bits.
constexpr double kNarrowCost = 125, kChunkCost = 215, kSplitCost = 0.2, kFixedCost = 500, kFmaCost = 0.011,
                 kGain = 1.05, kMinWork = 15e3;  // of fma: less gains more from a second thread there

size_t parts_bytes(const GemmArgs& g) {
  return static_cast<size_t>(ceil_div(g.m, kSplitPanel) * split_panel_size(kParts, g.k)) * sizeof(uint16_t);
}

// Of the ring: chunks ahead and at hand; all of 32 columns where other rows need them again.
int64_t chunks_of(const GemmArgs& g) {
  return kSkinnyAhead + (g.m <= kSplitPanel ? 1 : ceil_div(g.k, kSplitUnit));
}

size_t unit_bytes(const GemmArgs& g) {
  return parts_bytes(g) +
         static_cast<size_t>(chunks_of(g) * split_panel_size(kParts, kSplitUnit)) * sizeof(uint16_t);
}

}  // namespace

double gemm_skinny_cost(const GemmArgs& g) {
  const auto chunks = static_cast<double>(ceil_div(g.k, kSplitUnit) * ceil_div(g.n, kSplitPanel));
  const double each = g.m <= 16 ? kNarrowCost : kChunkCost * static_cast<double>(ceil_div(g.m, kSplitPanel));
  return kFixedCost + chunks * each + kSplitCost * static_cast<double>(g.m * g.k);
}

bool gemm_is_skinny(const GemmArgs& g) {
  if (g.m < kMinRows || g.m > kMaxRows || g.n < kMinColumns || g.k < kMinTerms) return false;
  if (!gemm_skinny_kernels() || g.dtype != DType::kFloat32 || split_parts(g.precision) != kParts)
    return false;
  if (g.b_col != 1 || (g.a_row != 1 && g.a_col != 1) || parts_bytes(g) > kMaxPartsA) return false;
  const double fma = kFmaCost * static_cast<double>(g.m * g.n) * static_cast<double>(g.k);
  return fma >= kMinWork && kGain * gemm_skinny_cost(g) < std::min(fma, gemm_split_cost(g));
}

size_t gemm_skinny_scratch_bytes(const GemmArgs& g) {
  return std::max(kUnits, turned_slices(g)) * unit_bytes(g) + turned_bytes(g);
}

void gemm_skinny_run(const GemmArgs& g, const void* a, const void* b, void* c, void* scratch) {
  // C = A B by the `copy`-th share of the scratch.
  const auto multiply = [&](int64_t copy, const float* from_a, const float* from_b, float* to, int64_t n,
                            int64_t k, int64_t c_row, bool accumulate) {
    char* parts = static_cast<char*>(scratch) + copy * static_cast<int64_t>(unit_bytes(g));
    gemm_skinny_kernels()->multiply({.a = from_a,
                                     .b = from_b,
                                     .c = to,
                                     .m = g.m,
                                     .n = n,
                                     .k = k,
                                     .a_row = g.a_row,
                                     .a_col = g.a_col,
                                     .b_row = g.b_row,
                                     .c_row = c_row,
                                     .parts_a = reinterpret_cast<uint16_t*>(parts),
                                     .ring = reinterpret_cast<uint16_t*>(parts + parts_bytes(g)),
                                     .chunks = chunks_of(g),
                                     .accumulate = accumulate});
  };
  const auto *all_a = static_cast<const float*>(a), *all_b = static_cast<const float*>(b);
  if (const int64_t slices = turned_slices(g); slices > 1) {
    char* sums = static_cast<char*>(scratch) + std::max(kUnits, slices) * static_cast<int64_t>(unit_bytes(g));
    return run_turned(g, gemm_skinny_cost(g), b, c, sums,
                      [&](int64_t s, int64_t k, int64_t count, float* to) {
                        multiply(s, all_a + k * g.a_col, all_b + k * g.b_row, to, g.n, count, g.n, false);
                      });
  }
  const int64_t most = std::min<int64_t>(num_threads(), kUnits);
  const int64_t worth = static_cast<int64_t>(gemm_skinny_cost(g) / kMinThreadCost);
  const int64_t unit =
      round_up(std::max(kMinUnit, ceil_div(g.n, std::clamp<int64_t>(worth, 1, most))), kSplitPanel);
  const int64_t units = ceil_div(g.n, unit);
  parallel_for(units, g.grain(gemm_skinny_cost(g) / static_cast<double>(units)),
               [&](int64_t begin, int64_t end) {
                 const int64_t j = begin * unit;
                 multiply(begin, all_a, all_b + j, static_cast<float*>(c) + j, std::min(g.n, end * unit) - j,
                          g.k, g.c_row, g.accumulate);
               });
}

}  // namespace lamina
