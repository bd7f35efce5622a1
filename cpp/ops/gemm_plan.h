// Which of the ways of a product a product takes, and how it is cut.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "ops/gemm.h"

namespace lamina {

// Skinny, parts, dots, outer and rows have files of their own: gemm_skinny.h, gemm_split.h and so on.
enum class GemmWay : uint8_t { skinny, parts, dots, outer, rows, blocks };

// Of a product with unit strides and K > 0, not of_tiles.
GemmWay gemm_way(const GemmArgs& args);

// How one product is carried out; a function of its sizes and strides alone.
struct GemmPlan {
  const GemmTypeKernels* kernels;
  int64_t block_k, block_m, block_n;
  int64_t tile_m, tile_n;   // at most; whole panels
  int64_t groups, group_n;  // of columns
  int64_t slices, slice_k;
  int32_t rows, cols;
  bool pack_a, pack_b;
  GemmWay way;  // of a slice
  size_t item, b_bytes, slice_bytes, part_bytes, total_bytes;
};

// Types that only tiles multiply; matmul.cc asks whether there are any.
inline bool of_tiles(DType dtype) { return dtype == DType::kBFloat16 || dtype == DType::kInt8; }

// Strides along axes of one element mean nothing: 1 lets them be read in place.
inline GemmArgs with_unit_strides(GemmArgs g) {
  if (g.m == 1) g.a_row = 1;
  if (g.k == 1) g.a_col = g.b_row = 1;
  if (g.n == 1) g.b_col = 1;
  return g;
}

// The product over k of one slice.
inline GemmArgs slice_of(GemmArgs g, int64_t k) {
  g.k = k;
  return g;
}

// As gemm_way. Taking it again for the same product and threads
// costs a few nanoseconds.
GemmPlan plan_of(const GemmArgs& args);

}  // namespace lamina
