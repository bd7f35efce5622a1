#include "ops/gemm_packed.h"

#include <algorithm>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/gemm_split.h"

namespace lamina {

namespace {

constexpr int64_t kBlockK = 512;  // of fma: a panel of A stays in L1
constexpr int64_t kUnitN = 256;   // columns of a thread's unit, about

}  // namespace

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
  const int64_t item = static_cast<int64_t>(itemsize(g_.dtype));
  const int64_t columns = round_up(n, kernels.narrow_cols);
  for (int64_t pc = 0; pc < k; pc += kBlockK) {
    kernels.pack({static_cast<const char*>(b) + pc * g_.b_row * item,
                  static_cast<char*>(packed) + pc * columns * item, n, std::min(kBlockK, k - pc), g_.b_col,
                  g_.b_row, kernels.narrow_cols, kernels.lanes});
  }
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
  const int64_t item = static_cast<int64_t>(itemsize(g_.dtype));
  const int64_t most = g_.a_row == 1 ? kernels.unit_rows : kernels.direct_rows;
  const int64_t columns = round_up(g_.n, kernels.narrow_cols), unit = round_up(kUnitN, kernels.narrow_cols);
  const double cost = static_cast<double>(m * unit * g_.k) / (4.0 * kernels.lanes);
  parallel_for(ceil_div(g_.n, unit), grain_for(cost), [&](int64_t begin, int64_t end) {
    const int64_t j = begin * unit;
    GemmBlock block{};
    block.rows = static_cast<int32_t>(ceil_div(m, ceil_div(m, most)));
    block.cols = kernels.narrow_cols;
    block.m = m, block.n = std::min(g_.n, end * unit) - j;
    block.a_panel = block.rows * g_.a_row, block.a_row = g_.a_row, block.a_col = g_.a_col;
    block.c = static_cast<char*>(c) + j * item;
    block.c_row = g_.c_row;
    for (int64_t pc = 0; pc < g_.k; pc += kBlockK) {
      block.k = std::min(kBlockK, g_.k - pc);
      block.a = static_cast<const char*>(a) + pc * g_.a_col * item;
      block.b = static_cast<const char*>(packed_) + (pc * columns + j * block.k) * item;
      block.b_panel = block.cols * block.k, block.b_row = block.cols;
      block.accumulate = accumulate || pc > 0;
      kernels.multiply(block);
    }
  });
}

}  // namespace lamina
