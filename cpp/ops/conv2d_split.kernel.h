// Rows of tiles for the kernels of conv2d_split.h.
#pragma once

#include "ops/conv2d_split.h"
#include "ops/gemm_split.kernel.h"

namespace lamina {
namespace {

// One row of a tile.
LAMINA_INLINE VecI load_row(const uint16_t* p) {
  VecI row;
  __builtin_memcpy(&row.v, p, sizeof row.v);
  return row;
}
LAMINA_INLINE void store_row(VecI row, uint16_t* p) { __builtin_memcpy(p, &row.v, sizeof row.v); }

}  // namespace
}  // namespace lamina
