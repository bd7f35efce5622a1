#include "ops/gemm_packed.h"

#include <algorithm>

#include "base/dtype.h"
#include "base/rounding.h"
#include "ops/gemm_split.h"

namespace lamina {

GemmPacked::GemmPacked(const GemmArgs& g) : g_(g) {
  if (gemm_splits(g)) {
    parts_ = split_parts(g.precision);
    const int64_t panels = ceil_div(g.n, kSplitPanel), block_k = gemm_split_kernels()->block_k;
    fits_at_ =
        static_cast<size_t>(panels * split_panel_size(parts_, round_up(g.k, block_k))) * sizeof(uint16_t);
    bytes_ = fits_at_ + align64(static_cast<size_t>(panels * ceil_div(g.k, block_k)));
  } else {
    const GemmTypeKernels& kernels = gemm_kernels_of(g.dtype);
    bytes_ = align64(static_cast<size_t>(round_up(g.n, kernels.narrow_cols) * g.k) * itemsize(g.dtype));
  }
}

void GemmPacked::pack(const void* b, int64_t k, int64_t n, void* packed) {
  g_.k = k, g_.n = n;
  b_ = b, packed_ = packed;
  if (parts_ == 0) {
    const GemmTypeKernels& kernels = gemm_kernels_of(g_.dtype);
    return kernels.pack({b, packed, n, k, g_.b_col, g_.b_row, kernels.narrow_cols, kernels.lanes});
  }
  const GemmSplitKernels& kernels = *gemm_split_kernels();
  const int64_t panels = ceil_div(n, kSplitPanel);
  uint16_t* to = static_cast<uint16_t*>(packed);
  bool* fits = reinterpret_cast<bool*>(static_cast<char*>(packed) + fits_at_);
  for (int64_t pc = 0; pc < k; pc += kernels.block_k) {
    const int64_t kc = std::min(kernels.block_k, k - pc);
    for (int64_t panel = 0; panel < panels; ++panel) {
      const int64_t j = panel * kSplitPanel;
      *fits++ = kernels.pack_b[parts_ - 1](
          {.src = static_cast<const float*>(b) + pc * g_.b_row + j * g_.b_col,
           .dst = to + panels * split_panel_size(parts_, pc) + panel * split_panel_size(parts_, kc),
           .count = std::min(n - j, kSplitPanel),
           .k = kc,
           .row = g_.b_row,
           .col = g_.b_col});
    }
  }
}

void GemmPacked::multiply(const void* a, int64_t m, bool accumulate, void* c) const {
  if (parts_ > 0) {
    return gemm_split_kernels()->multiply[parts_ - 1](
        {.a = static_cast<const float*>(a),
         .b = static_cast<const float*>(b_),
         .bias = nullptr,
         .packed_b = static_cast<const uint16_t*>(packed_),
         .fits_b = reinterpret_cast<const bool*>(static_cast<const char*>(packed_) + fits_at_),
         .first_panel = 0,
         .panels = ceil_div(g_.n, kSplitPanel),
         .c = static_cast<float*>(c),
         .m = m,
         .n = g_.n,
         .k = g_.k,
         .a_row = g_.a_row,
         .a_col = g_.a_col,
         .b_row = g_.b_row,
         .b_col = g_.b_col,
         .c_row = g_.c_row,
         .accumulate = accumulate,
         .last = false,
         .past_caches = false,
         .activation = Activation::none});
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
