#include "ops/gemm_tiles.h"

#include <algorithm>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"

namespace lamina {

LAMINA_OPTIONAL_KERNELS(GemmTilesKernels, gemm_tiles_kernels)

namespace {

constexpr int64_t kBlockN = 512;   // with block_bytes of K: B in 1 MB of L2
constexpr int64_t kBlockM = 2048;  // rows of sums in memory, where K takes several blocks
// Nanoseconds: a byte of A by a column (0.4 ps a bfloat16 operation), packing a byte, storing a result.
constexpr double kProductCost = 0.0004, kPackCost = 0.05, kResultCost = 0.1;

struct Cut {
  int64_t item, block_k, block_n, block_m, sums_row;
  size_t packed_bytes, sums_bytes;

  explicit Cut(const GemmArgs& g) : item(static_cast<int64_t>(itemsize(g.dtype))) {
    const int64_t most = gemm_tiles_kernels()->block_bytes / item, unit = kTilesUnitBytes / item;
    block_k = round_up(ceil_div(g.k, ceil_div(g.k, most)), unit);
    block_n = std::min(kBlockN, round_up(g.n, kTilesPanel));
    block_m = std::min(kBlockM, round_up(g.m, kTilesPanel));
    sums_row = block_n;
    packed_bytes = static_cast<size_t>(block_n / kTilesPanel * tiles_panel_bytes(block_k, item));
    sums_bytes = block_k < g.k ? static_cast<size_t>(block_m * sums_row) * 4 : 0;
  }
};

const GemmTilesTypeKernels& kernels_of(DType dtype) {
  const GemmTilesKernels& kernels = *gemm_tiles_kernels();
  return dtype == DType::kInt8 ? kernels.int8 : kernels.bf16;
}

}  // namespace

bool gemm_has_tiles(DType dtype) {
  return (dtype == DType::kBFloat16 || dtype == DType::kInt8) && gemm_tiles_kernels();
}

size_t gemm_tiles_scratch_bytes(const GemmArgs& g) {
  const Cut cut(g);
  return cut.packed_bytes + cut.sums_bytes;
}

double gemm_tiles_cost(const GemmArgs& g) {
  const auto m = static_cast<double>(round_up(g.m, 16)), n = static_cast<double>(round_up(g.n, 16));
  const double bytes = static_cast<double>(round_up(g.k * static_cast<int64_t>(itemsize(g.dtype)), 64));
  return kProductCost * m * n * bytes + kPackCost * (m + n) * bytes + kResultCost * m * n;
}

void gemm_tiles_run(const GemmArgs& g, const void* a, const void* b, void* c, void* scratch) {
  const int64_t out = g.dtype == DType::kInt8 ? 4 : 2;
  if (g.k == 0) {
    for (int64_t i = 0; i < g.m; ++i)
      std::fill_n(static_cast<char*>(c) + i * g.c_row * out, g.n * out, char{0});
    return;
  }
  const GemmTilesTypeKernels& kernels = kernels_of(g.dtype);
  const Cut cut(g);
  const int64_t item = cut.item;
  char *packed = static_cast<char*>(scratch), *sums = packed + cut.packed_bytes;
  for (int64_t jc = 0; jc < g.n; jc += cut.block_n) {
    const int64_t nc = std::min(cut.block_n, g.n - jc), panels_n = ceil_div(nc, kTilesPanel);
    for (int64_t ic = 0; ic < g.m; ic += cut.block_m) {
      const int64_t mc = std::min(cut.block_m, g.m - ic);
      for (int64_t pc = 0; pc < g.k; pc += cut.block_k) {
        const int64_t kc = std::min(cut.block_k, g.k - pc), panel_bytes = tiles_panel_bytes(kc, item);
        const auto bytes = static_cast<double>(kc * item);
        if (ic == 0 || cut.block_k < g.k) {
          const char* from = static_cast<const char*>(b) + (pc * g.b_row + jc * g.b_col) * item;
          parallel_for(panels_n, grain_for(kPackCost * kTilesPanel * bytes), [&](int64_t begin, int64_t end) {
            for (int64_t p = begin; p < end; ++p) {
              const int64_t j = p * kTilesPanel;
              kernels.pack({from + j * g.b_col * item, packed + p * panel_bytes,
                            std::min(kTilesPanel, nc - j), kc, g.b_col, g.b_row, false});
            }
          });
        }
        const double cost = kTilesPanel * (bytes * (kProductCost * static_cast<double>(nc) + kPackCost) +
                                           kResultCost * static_cast<double>(nc));
        parallel_for(ceil_div(mc, kTilesPanel), grain_for(cost), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin * kTilesPanel; i < std::min(mc, end * kTilesPanel); i += kTilesPanel) {
            kernels.multiply({.a = static_cast<const char*>(a) + ((ic + i) * g.a_row + pc * g.a_col) * item,
                              .packed_b = packed,
                              .sums = sums + i * cut.sums_row * 4,
                              .c = static_cast<char*>(c) + ((ic + i) * g.c_row + jc) * out,
                              .m = std::min(kTilesPanel, mc - i),
                              .n = nc,
                              .k = kc,
                              .a_row = g.a_row,
                              .a_col = g.a_col,
                              .c_row = g.c_row,
                              .sums_row = cut.sums_row,
                              .first = pc == 0,
                              .last = pc + kc >= g.k});
          }
        });
      }
    }
  }
}

}  // namespace lamina
