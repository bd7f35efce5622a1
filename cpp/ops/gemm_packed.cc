#include "ops/gemm_packed.h"

#include <algorithm>

#include "base/dtype.h"
#include "base/rounding.h"
#include "ops/gemm_split.h"

namespace lamina {

GemmPacked::GemmPacked(const GemmArgs& g, bool splits) : g_(g), splits_(splits) {
  if (splits_) {
    bytes_ = align64(gemm_split_packed_bytes(g));
  } else {
    const GemmTypeKernels& kernels = gemm_kernels_of(g.dtype);
    bytes_ = align64(static_cast<size_t>(round_up(g.n, kernels.narrow_cols) * g.k) * itemsize(g.dtype));
  }
}

void GemmPacked::pack(const void* b, int64_t k, int64_t n, void* packed) {
  g_.k = k, g_.n = n;
  b_ = b, packed_ = packed;
  if (splits_) return gemm_split_pack(g_, static_cast<const float*>(b), packed);
  const GemmTypeKernels& kernels = gemm_kernels_of(g_.dtype);
  kernels.pack({b, packed, n, k, g_.b_col, g_.b_row, kernels.narrow_cols, kernels.lanes});
}

const uint16_t* GemmPacked::parts() const {
  return splits_ && gemm_split_fits(g_, packed_) ? static_cast<const uint16_t*>(packed_) : nullptr;
}

void GemmPacked::multiply(const void* a, int64_t m, bool accumulate, void* c) const {
  if (splits_) {
    GemmArgs g = g_;
    g.m = m, g.accumulate = accumulate;
    return gemm_split_run_packed(g, static_cast<const float*>(a), static_cast<const float*>(b_), packed_,
                                 nullptr, static_cast<float*>(c));
  }
  const GemmTypeKernels& kernels = gemm_kernels_of(g_.dtype);
  const int64_t most = g_.a_row == 1 ? kernels.unit_rows : kernels.direct_rows;
  GemmBlock block{};
  block.rows = static_cast<int32_t>(ceil_div(m, ceil_div(m, most)));
  block.cols = kernels.narrow_cols;
  block.a = a, block.b = packed_, block.c = c;
  block.m = m, block.n = g_.n, block.k = g_.k;
  block.a_panel = block.rows * g_.a_row, block.a_row = g_.a_row, block.a_col = g_.a_col;
  block.b_panel = block.cols * g_.k, block.b_row = block.cols;
  block.c_row = g_.c_row;
  block.accumulate = accumulate;
  kernels.multiply(block);
}

}  // namespace lamina
