// Products C [m, n] (+)= A B in float32 with a B whose rows are contiguous and read where they lie: of few
// rows of A with a large B, as in y = x w, and of a B in L1 whose rows are three vectors, which fill a tile.
//
// An element of C is a chain of fma over k inside one block of k, the blocks added in order. A of few rows is
// packed, so that a step of k reads neighbours. B that stays in L2 is read in panels of few columns, whose
// sums stay in registers; more of it by blocks of k along whole rows, the order in which prefetchers follow.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lamina {

struct GemmArgs;

// True if this product is better made here; strides of axes of one element are 1.
bool gemm_is_rows(const GemmArgs& args);

// As gemm_scratch_bytes, gemm_cost and gemm_run, where gemm_is_rows; without what follows the product. k > 0.
size_t gemm_rows_scratch_bytes(const GemmArgs& args);
double gemm_rows_cost(const GemmArgs& args);
void gemm_rows_run(const GemmArgs& args, const void* a, const void* b, void* c, void* scratch);

// A in groups of `rows` rows: element (i, k) of group g at a[g * a_group + i * a_row + k * a_col], a_row or
// a_col 1.
struct GemmRows {
  const float *a, *b;
  float* c;
  int64_t m, n, k, block_k;
  int64_t a_group, a_row, a_col, b_row, c_row;
  int32_t rows;
  bool accumulate;
};

struct GemmRowsKernels {
  int32_t max_rows, max_rows_in_place;  // of a group, where a_row is 1 and where a_col is
  void (*multiply)(const GemmRows&);
  void (*stream)(const GemmRows&);  // of one row, with a B that is read from beyond L2
};

}  // namespace lamina
