#include "ops/gemm_split.h"

#include <algorithm>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"

namespace lamina {

LAMINA_OPTIONAL_KERNELS(GemmSplitKernels, gemm_split_kernels)

int split_parts(MatmulPrecision precision) {
  switch (precision) {
    case MatmulPrecision::highest:
      return 0;
    case MatmulPrecision::high:
      return 3;
    case MatmulPrecision::medium:
      return 2;
    case MatmulPrecision::low:
      return 1;
  }
  return 0;
}

namespace {

constexpr int64_t kStretchK = 1024, kBlockN = 1024;  // of B, split at a time: 6 MB of three parts
constexpr int64_t kShortStretchK = 256;  // for few rows, whose C stays in L2 as does that much of B
// Tiles of C handed to threads stay in L2; they shrink where C has fewer than kThreadTiles for each thread.
constexpr int64_t kTileM = 256, kTileN = 512, kMinTileN = 128, kThreadTiles = 4;

// Nanoseconds: a multiply-add made of one product of parts, splitting an element (of a B whose parts are
// larger than kPartsInL2, which write and read L3), a multiply-add of the fma path. Measured on the first
// machines with AMX; they decide which path is faster, so they are part of what fixes the bits.
constexpr double kProductCost = 0.0008, kSplitCost = 0.2, kSplitFarCost = 0.4, kResultCost = 0.1,
                 kFmaCost = 0.0125;
constexpr double kPartsInL2 = 1 << 20;  // bytes

double cost_of(const GemmArgs& g, int64_t m, int64_t n) {
  const int parts = split_parts(g.precision);
  const double products = parts * (parts + 1) / 2;
  const auto whole = [](int64_t size, int64_t unit) { return static_cast<double>(round_up(size, unit)); };
  const double k = static_cast<double>(g.k), size_b = k * static_cast<double>(n);
  const double split_b = size_b * parts * sizeof(uint16_t) > kPartsInL2 ? kSplitFarCost : kSplitCost;
  return kProductCost * products * whole(m, 16) * whole(n, 16) * whole(g.k, kSplitUnit) +
         kSplitCost * k * static_cast<double>(m * ceil_div(n, kTileN)) + split_b * size_b +
         kResultCost * static_cast<double>(m * n) * whole(g.k, 128) / 128;
}

// How one product is cut; a function of its sizes alone, but for the tiles, which do not change bits.
struct Cut {
  int parts;
  int64_t stretch_k, block_n;  // of B, split at a time
  int64_t tile_m, tile_n;      // of C
  size_t packed_bytes, fits_bytes;

  explicit Cut(const GemmArgs& g) : parts(split_parts(g.precision)) {
    const int64_t block_k = gemm_split_kernels()->block_k;
    block_n = std::min(g.n, kBlockN);
    stretch_k = std::min(g.k, kStretchK);
    if (g.m <= kTileM) stretch_k = std::min(g.k, kShortStretchK);
    tile_m = std::min(kTileM, round_up(g.m, kSplitPanel));
    tile_n = std::min(kTileN, round_up(block_n, kSplitPanel));
    const int64_t threads = num_threads(), min_tiles = threads > 1 ? kThreadTiles * threads : 1;
    const auto too_few = [&] { return ceil_div(g.m, tile_m) * ceil_div(block_n, tile_n) < min_tiles; };
    while (tile_m > kSplitPanel && too_few()) tile_m = round_up(tile_m / 2, kSplitPanel);
    while (tile_n > kMinTileN && too_few()) tile_n = round_up(tile_n / 2, kSplitPanel);
    const int64_t panels = ceil_div(block_n, kSplitPanel);
    packed_bytes = static_cast<size_t>(panels * split_panel_size(parts, stretch_k)) * sizeof(uint16_t);
    fits_bytes = align64(static_cast<size_t>(panels * ceil_div(stretch_k, block_k)) * sizeof(bool));
  }
};

// Lines written past the caches need not be read first: where C is written once, in one block of K, and
// larger than what L2 and L3 keep for the next reader.
bool writes_past_caches(const GemmArgs& g, const float* bias, const float* c) {
  constexpr int64_t kBytes = 16 << 20, kLine = 64;
  constexpr auto kItem = static_cast<int64_t>(sizeof(float));
  return g.k <= gemm_split_kernels()->block_k && !g.accumulate && !bias && g.activation == Activation::none &&
         g.m * g.n * kItem >= kBytes && g.c_row * kItem % kLine == 0 &&
         reinterpret_cast<uintptr_t>(c) % kLine == 0;
}

GemmSplitBlock block_of(const GemmArgs& g, const float* a, const float* b, const float* bias, float* c) {
  return {.a = a,
          .b = b,
          .bias = bias,
          .packed_b = nullptr,
          .fits_b = nullptr,
          .first_panel = 0,
          .panels = 0,
          .c = c,
          .m = g.m,
          .n = g.n,
          .k = g.k,
          .a_row = g.a_row,
          .a_col = g.a_col,
          .b_row = g.b_row,
          .b_col = g.b_col,
          .c_row = g.c_row,
          .accumulate = g.accumulate,
          .last = true,
          .past_caches = false,
          .activation = g.activation};
}

// B over n columns from jc and k in [pc, pc + kc). A product whose tiles are split over threads has its B
// split alike, worth a thread by itself or not: the same columns to the same thread, whose core then has
// them.
void pack_b(const GemmArgs& g, const Cut& cut, const float* b, int64_t nc, int64_t kc, double product_cost,
            uint16_t* packed, bool* fits) {
  const GemmSplitKernels& kernels = *gemm_split_kernels();
  const int64_t panels = ceil_div(nc, kSplitPanel), blocks = ceil_div(kc, kernels.block_k);
  double cost = kSplitCost * static_cast<double>(kSplitPanel * std::min(kc, kernels.block_k));
  if (product_cost >= 2 * kGrainCost)
    cost = std::max(cost, 2 * kGrainCost / static_cast<double>(panels * blocks));
  // All panels of a block, unit by unit: memory in the order of rows.
  parallel_for(panels * blocks, grain_for(cost), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end;) {
      const int64_t block = item / panels, first = item % panels, k = block * kernels.block_k;
      const int64_t last = std::min(panels, first + end - item), size = std::min(kernels.block_k, kc - k);
      bool* fit = fits + block * panels;
      std::fill(fit + first, fit + last, true);
      for (int64_t unit = 0; unit < size; unit += kSplitUnit) {
        for (int64_t panel = first; panel < last; ++panel) {
          const int64_t j = panel * kSplitPanel;
          const bool good = kernels.pack_b[cut.parts - 1](
              {.src = b + (k + unit) * g.b_row + j * g.b_col,
               .dst = packed + panels * split_panel_size(cut.parts, k) +
                      panel * split_panel_size(cut.parts, size) + split_panel_size(cut.parts, unit),
               .count = std::min(nc - j, kSplitPanel),
               .k = std::min(size - unit, kSplitUnit),
               .row = g.b_row,
               .col = g.b_col});
          fit[panel] = fit[panel] && good;
        }
      }
      item += last - first;
    }
  });
}

}  // namespace

bool gemm_splits(const GemmArgs& g) {
  if (!gemm_split_kernels() || g.dtype != DType::kFloat32 || split_parts(g.precision) == 0) return false;
  if (g.m < 8 || g.n < 8 || g.k < 8) return false;
  if ((g.a_row != 1 && g.a_col != 1) || (g.b_row != 1 && g.b_col != 1)) return false;
  return cost_of(g, g.m, g.n) < kFmaCost * static_cast<double>(g.m * g.n) * static_cast<double>(g.k);
}

size_t gemm_split_scratch_bytes(const GemmArgs& g) {
  const Cut cut(g);
  return cut.packed_bytes + cut.fits_bytes;
}

double gemm_split_cost(const GemmArgs& g) { return cost_of(g, g.m, g.n); }

void gemm_split_run(const GemmArgs& g, const float* a, const float* b, const float* bias, float* c,
                    void* scratch) {
  const Cut cut(g);
  const GemmSplitKernels& kernels = *gemm_split_kernels();
  const bool past_caches = writes_past_caches(g, bias, c);
  uint16_t* packed = static_cast<uint16_t*>(scratch);
  bool* fits = reinterpret_cast<bool*>(static_cast<char*>(scratch) + cut.packed_bytes);
  for (int64_t jc = 0; jc < g.n; jc += cut.block_n) {
    const int64_t nc = std::min(cut.block_n, g.n - jc), panels = ceil_div(nc, kSplitPanel);
    for (int64_t pc = 0; pc < g.k; pc += cut.stretch_k) {
      const int64_t kc = std::min(cut.stretch_k, g.k - pc);
      GemmArgs tile = g;
      tile.k = kc;
      const double cost = cost_of(tile, g.m, nc);
      pack_b(g, cut, b + pc * g.b_row + jc * g.b_col, nc, kc, cost, packed, fits);
      const int64_t tiles_m = ceil_div(g.m, cut.tile_m), tiles = tiles_m * ceil_div(nc, cut.tile_n);
      parallel_for(tiles, grain_for(cost / static_cast<double>(tiles)), [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          const int64_t i = t % tiles_m * cut.tile_m, j = t / tiles_m * cut.tile_n, panel = j / kSplitPanel;
          GemmSplitBlock block =
              block_of(tile, a + i * g.a_row + pc * g.a_col, b + pc * g.b_row + (jc + j) * g.b_col,
                       bias ? bias + jc + j : nullptr, c + i * g.c_row + jc + j);
          block.m = std::min(cut.tile_m, g.m - i);
          block.n = std::min(cut.tile_n, nc - j);
          block.packed_b = packed;
          block.first_panel = panel;
          block.panels = panels;
          block.fits_b = fits;
          block.past_caches = past_caches;
          block.accumulate = g.accumulate || pc > 0;
          block.last = pc + kc >= g.k;
          kernels.multiply[cut.parts - 1](block);
        }
      });
    }
  }
}

}  // namespace lamina
