#include "ops/gemm_rows.h"

#include <algorithm>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"
#include "ops/gemm_turned.h"

namespace lamina {

LAMINA_KERNELS(GemmRowsKernels, gemm_rows_kernels)

namespace {

constexpr int64_t kMaxRows = 16;         // of A, with a large B
constexpr int64_t kInPlaceRows = 4;      // of A, read where they lie: packing would cost more than it saves
constexpr int64_t kVectors = 3;          // in a row of a small B: of others gemm.h's tiles leave no remainder
constexpr int64_t kLargeB = 4096;        // elements; a smaller one stays in L1 however it is read
constexpr double kSmallProduct = 500e3;  // multiply-adds with such a B: not worth a second thread
constexpr int64_t kInL2 = 320 << 10;     // elements of B
constexpr int64_t kBlockK = 512;         // A's block for one tile stays in L1
constexpr int64_t kStretch = 64 << 10;   // elements of B's rows in a block of k beyond L2,
constexpr int64_t kMinBlockK = 16;       // of at least so many rows
// Columns of a thread's unit: long runs of each row, longer where B comes from beyond L2. A B in L2 is cut
// for the threads there are, each of which packs an A of its own: lines from another core cost more.
constexpr int64_t kUnits = 4, kMinUnit = 128, kMinLongUnit = 512;
constexpr double kL2Cost = 0.024, kL3Cost = 0.13;  // nanoseconds to read an element of B

bool large_b(const GemmArgs& g) { return g.k * g.n > kLargeB; }
bool packs(const GemmArgs& g) { return g.a_row != 1 && large_b(g) && (g.m > kInPlaceRows || g.a_col != 1); }

struct Groups {
  int64_t count;
  int32_t rows;
  explicit Groups(const GemmArgs& g) {
    const GemmRowsKernels& kernels = gemm_rows_kernels();
    count = ceil_div(g.m, g.a_row == 1 || packs(g) ? kernels.max_rows : kernels.max_rows_in_place);
    rows = static_cast<int32_t>(ceil_div(g.m, count));
  }
};

// Bytes of A, packed.
size_t packed_bytes(const GemmArgs& g) {
  const Groups groups(g);
  return align64(static_cast<size_t>(groups.count * groups.rows * g.k) * sizeof(float));
}

}  // namespace

bool gemm_is_rows(const GemmArgs& g) {
  if (g.dtype != DType::kFloat32 || g.b_col != 1) return false;
  const GemmTypeKernels& kernels = gemm_kernels_of(g.dtype);
  if (g.n <= kernels.lanes || (!kernels.masked_loads && g.n % kernels.lanes != 0)) return false;
  if (large_b(g)) return g.m <= kMaxRows;
  const double multiply_adds = static_cast<double>(g.m) * static_cast<double>(g.k * g.n);
  return (g.a_row == 1 || g.a_col == 1) && ceil_div(g.n, kernels.lanes) == kVectors &&
         multiply_adds <= kSmallProduct;
}

size_t gemm_rows_scratch_bytes(const GemmArgs& g) {
  return (packs(g) ? kUnits * packed_bytes(g) : 0) + turned_bytes(g);
}

double gemm_rows_cost(const GemmArgs& g) {
  const auto size = static_cast<double>(g.k * g.n);
  const double products = static_cast<double>(g.m) / (4 * gemm_kernels_of(g.dtype).lanes);
  return size * std::max(products, g.k * g.n <= kInL2 ? kL2Cost : kL3Cost);
}

void gemm_rows_run(const GemmArgs& g, const void* a, const void* b, void* c, void* scratch) {
  const Groups groups(g);
  const bool in_l2 = g.k * g.n <= kInL2;
  const bool streams = g.m == 1 && (g.cold || !in_l2);
  const bool own = in_l2 || streams;
  const int64_t most = own ? std::min<int64_t>(num_threads(), kUnits) : kUnits;
  const int64_t unit = round_up(std::max(own ? kMinUnit : kMinLongUnit, ceil_div(g.n, most)), kMinUnit);
  const int64_t units = ceil_div(g.n, unit);
  const int64_t block_k = in_l2 ? kBlockK : std::clamp(kStretch / g.n, kMinBlockK, kBlockK);
  GemmRows block{.a = static_cast<const float*>(a),
                 .b = nullptr,
                 .c = nullptr,
                 .m = g.m,
                 .n = 0,
                 .k = g.k,
                 .block_k = block_k,
                 .a_group = groups.rows * g.a_row,
                 .a_row = g.a_row,
                 .a_col = g.a_col,
                 .b_row = g.b_row,
                 .c_row = g.c_row,
                 .rows = groups.rows,
                 .accumulate = g.accumulate};
  const auto pack = [&](GemmRows& part, int64_t copy) {
    void* packed = static_cast<char*>(scratch) + copy * static_cast<int64_t>(packed_bytes(g));
    gemm_kernels_of(g.dtype).pack({a, packed, g.m, g.k, g.a_row, g.a_col, groups.rows, 1});
    part.a = static_cast<const float*>(packed);
    part.a_group = groups.rows * g.k;
    part.a_row = 1;
    part.a_col = groups.rows;
  };
  if (packs(g) && !in_l2) pack(block, 0);
  if (turned_slices(g) > 1) {
    char* sums = static_cast<char*>(scratch) + (packs(g) ? kUnits * packed_bytes(g) : 0);
    return run_turned(g, gemm_rows_cost(g), b, c, sums, [&](int64_t, int64_t k, int64_t count, float* to) {
      GemmRows part = block;
      part.a += k * block.a_col;
      part.b = static_cast<const float*>(b) + k * g.b_row;
      part.c = to;
      part.n = part.c_row = g.n;
      part.k = count;
      part.accumulate = false;
      gemm_rows_kernels().multiply(part);
    });
  }
  parallel_for(units, g.grain(gemm_rows_cost(g) / static_cast<double>(units)),
               [&](int64_t begin, int64_t end) {
                 GemmRows part = block;
                 const int64_t j = begin * unit;
                 part.b = static_cast<const float*>(b) + j;
                 part.c = static_cast<float*>(c) + j;
                 part.n = std::min(g.n, end * unit) - j;
                 if (packs(g) && in_l2) pack(part, begin);
                 (streams ? gemm_rows_kernels().stream : gemm_rows_kernels().multiply)(part);
               });
}

}  // namespace lamina
