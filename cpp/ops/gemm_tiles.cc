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

constexpr int64_t kBytesOfB = 1 << 20;  // of all K for a block of columns: stays in L2
constexpr int64_t kBlockM = 2048;       // rows of A packed at a time
// Items handed to threads are a panel of A by a block of columns; narrower where there are fewer than
// kMinItems.
constexpr int64_t kMinItems = 8, kMinColumns = 128;
// Up to so many rows of A a thread takes all of them by columns of its own, at least kMinOwnColumns, whose B
// it packs itself: B packed by another thread is read line by line from that one's core.
constexpr int64_t kOwnRows = 256, kMinOwnColumns = 64;
// Nanoseconds: a byte of A by a column (0.4 ps a bfloat16 operation), packing a byte, storing a result.
constexpr double kProductCost = 0.0004, kPackCost = 0.05, kResultCost = 0.1;

struct Cut {
  int64_t item, panel_bytes, block_n, block_m, tile_n;
  size_t b_bytes, a_bytes;

  explicit Cut(const GemmArgs& g)
      : item(static_cast<int64_t>(itemsize(g.dtype))), panel_bytes(tiles_panel_bytes(g.k, item)) {
    const int64_t most =
        std::clamp<int64_t>(kBytesOfB / panel_bytes * kTilesPanel, kTilesPanel, kTilesColumns);
    block_n = std::min(most, round_up(g.n, kTilesPanel));
    block_m = std::min(kBlockM, round_up(g.m, kTilesPanel));
    tile_n = block_n;
    while (tile_n > kMinColumns && ceil_div(block_m, kTilesPanel) * ceil_div(block_n, tile_n) < kMinItems) {
      tile_n = round_up(tile_n / 2, kTilesPanel);
    }
    b_bytes = static_cast<size_t>(block_n / kTilesPanel * panel_bytes);
    a_bytes = g.a_col == 1 ? 0 : static_cast<size_t>(block_m / kTilesPanel * panel_bytes);
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
  if (g.k == 0) return 0;
  const Cut cut(g);
  return cut.b_bytes + cut.a_bytes;
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
  const int64_t item = cut.item, unit = kTilesUnitBytes / item, panel_bytes = cut.panel_bytes;
  const auto at = [item](const void* p, int64_t elements) {
    return static_cast<const char*>(p) + elements * item;
  };
  const auto pack = [&](const char* from, int64_t count, int64_t w_step, int64_t k_step, bool of_a,
                        char* to) {
    const double cost = kPackCost * kTilesUnitBytes * static_cast<double>(count);
    parallel_for(ceil_div(g.k, unit), g.grain(cost), [&](int64_t begin, int64_t end) {
      kernels.pack({at(from, begin * unit * k_step), to + begin * kTilesUnitBytes * kTilesPanel, count,
                    std::min(g.k, end * unit) - begin * unit, w_step, k_step, panel_bytes, of_a});
    });
  };
  char *packed_b = static_cast<char*>(scratch),
       *packed_a = cut.a_bytes > 0 ? packed_b + cut.b_bytes : nullptr;
  const auto multiply = [&](int64_t i, int64_t m, int64_t j, int64_t n, const char* panel_a,
                            const char* panels_b) {
    kernels.multiply({.a = at(a, i * g.a_row),
                      .packed_a = panel_a,
                      .packed_b = panels_b,
                      .c = static_cast<char*>(c) + (i * g.c_row + j) * out,
                      .m = m,
                      .n = n,
                      .k = g.k,
                      .a_row = g.a_row,
                      .c_row = g.c_row});
  };
  for (int64_t jc = 0; jc < g.n; jc += cut.block_n) {
    const int64_t nc = std::min(cut.block_n, g.n - jc);
    if (g.m <= kOwnRows && !packed_a) {
      const int64_t share = round_up(ceil_div(nc, num_threads()), kTilesPanel);
      const int64_t width = std::max(share, kMinOwnColumns), parts = ceil_div(nc, width);
      GemmArgs columns = g;
      columns.n = width;
      parallel_for(parts, g.grain(gemm_tiles_cost(columns)), [&](int64_t begin, int64_t end) {
        const int64_t j = begin * width, n = std::min(nc, end * width) - j;
        char* panels_b = packed_b + j / kTilesPanel * panel_bytes;
        kernels.pack({at(b, (jc + j) * g.b_col), panels_b, n, g.k, g.b_col, g.b_row, panel_bytes, false});
        for (int64_t i = 0; i < g.m; i += kTilesPanel) {
          multiply(i, std::min(kTilesPanel, g.m - i), jc + j, n, nullptr, panels_b);
        }
      });
      continue;
    }
    const int64_t tiles_n = ceil_div(nc, cut.tile_n);
    pack(at(b, jc * g.b_col), nc, g.b_col, g.b_row, false, packed_b);
    for (int64_t ic = 0; ic < g.m; ic += cut.block_m) {
      const int64_t mc = std::min(cut.block_m, g.m - ic);
      if (packed_a) pack(at(a, ic * g.a_row), mc, g.a_row, g.a_col, true, packed_a);
      const auto width = static_cast<double>(std::min(nc, cut.tile_n));
      const double bytes = static_cast<double>(g.k * item);
      const double cost = kTilesPanel * (bytes * (kProductCost * width + kPackCost) + kResultCost * width);
      parallel_for(ceil_div(mc, kTilesPanel) * tiles_n, g.grain(cost), [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          const int64_t p = t / tiles_n, i = p * kTilesPanel, j = t % tiles_n * cut.tile_n;
          multiply(ic + i, std::min(kTilesPanel, mc - i), jc + j, std::min(cut.tile_n, nc - j),
                   packed_a ? packed_a + p * panel_bytes : nullptr, packed_b + j / kTilesPanel * panel_bytes);
        }
      });
    }
  }
}

}  // namespace lamina
