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
// Tiles of C handed to threads stay in L2. Columns are cut for up to kColumnTiles threads, so that each reads
// the B that it has split itself, then rows of more than one tile, into kThreadTiles for each thread.
constexpr int64_t kTileM = 256, kTileN = 512, kMinTileN = 64, kColumnTiles = 4, kThreadTiles = 4;
constexpr int64_t kSplitColumns = 128;  // of B, split by one thread: runs of whole lines

// Nanoseconds: a multiply-add made of one product of parts, splitting an element (of a B whose parts are
// larger than kPartsInL2, which write and read L3), a multiply-add of the fma path. Measured on the first
// machines with AMX; they decide which path is faster, so they are part of what fixes the bits.
constexpr double kProductCost = 0.0008, kSplitCost = 0.2, kSplitFarCost = 0.4, kResultCost = 0.1,
                 kFmaCost = 0.0125;
constexpr double kPartsInL2 = 1 << 20;  // bytes

double cost_of(const GemmArgs& g, int64_t m, int64_t n, bool packed = false) {
  const int parts = split_parts(g.precision);
  const double products = parts * (parts + 1) / 2;
  const auto whole = [](int64_t size, int64_t unit) { return static_cast<double>(round_up(size, unit)); };
  const double k = static_cast<double>(g.k), size_b = k * static_cast<double>(n);
  const double split_b = packed                                           ? 0.0
                         : size_b * parts * sizeof(uint16_t) > kPartsInL2 ? kSplitFarCost
                                                                          : kSplitCost;
  return kProductCost * products * whole(m, 16) * whole(n, 16) * whole(g.k, kSplitUnit) +
         kSplitCost * k * static_cast<double>(m * ceil_div(n, kTileN)) + split_b * size_b +
         kResultCost * static_cast<double>(m * n) * whole(g.k, 128) / 128;
}

bool is_splittable(const GemmArgs& g) {
  if (!gemm_split_kernels() || g.dtype != DType::kFloat32 || split_parts(g.precision) == 0) return false;
  if (g.m < 8 || g.n < 8 || g.k < 8) return false;
  return (g.a_row == 1 || g.a_col == 1) && (g.b_row == 1 || g.b_col == 1);
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
    const int64_t threads = in_parallel() ? 1 : num_threads();
    const int64_t share = round_up(ceil_div(block_n, std::min(threads, kColumnTiles)), kSplitPanel);
    if (g.m <= threads * kTileM) tile_n = std::min(tile_n, std::max(share, kMinTileN));
    const int64_t min_tiles = threads > 1 && g.m > kTileM ? kThreadTiles * threads : threads;
    const auto too_few = [&] { return ceil_div(g.m, tile_m) * ceil_div(block_n, tile_n) < min_tiles; };
    while (tile_m > kSplitPanel && too_few()) tile_m = round_up(tile_m / 2, kSplitPanel);
    const int64_t panels = ceil_div(block_n, kSplitPanel);
    packed_bytes = static_cast<size_t>(panels * split_panel_size(parts, stretch_k)) * sizeof(uint16_t);
    fits_bytes = align64(static_cast<size_t>(panels * ceil_div(stretch_k, block_k)) * sizeof(bool));
  }
};

// Lines written past the caches need not be read first: where C is written once, in one block of K, and
// larger than what L2 and L3 keep for the next reader.
bool writes_past_caches(const GemmArgs& g, bool finishes, const float* c) {
  constexpr int64_t kBytes = 16 << 20, kLine = 64;
  constexpr auto kItem = static_cast<int64_t>(sizeof(float));
  return g.k <= gemm_split_kernels()->block_k && !g.accumulate && !finishes && g.m * g.n * kItem >= kBytes &&
         g.c_row * kItem % kLine == 0 && reinterpret_cast<uintptr_t>(c) % kLine == 0;
}

GemmSplitBlock block_of(const GemmArgs& g, const float* a, const float* b, const float* bias, float* c) {
  return {.a = a,
          .b = b,
          .bias = bias,
          .residual = nullptr,
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

// A stretch of B: k rows and n columns of it, to be split.
struct Stretch {
  const float* b;
  int64_t k, n;
  uint16_t* packed;
  bool* fits;
  int64_t panels() const { return ceil_div(n, kSplitPanel); }
};

// Panels [first, last) of a stretch, unit by unit: memory in the order of rows.
void split_panels(const GemmArgs& g, int parts, const Stretch& s, int64_t first, int64_t last) {
  const GemmSplitKernels& kernels = *gemm_split_kernels();
  const int64_t panels = s.panels();
  for (int64_t k = 0; k < s.k; k += kernels.block_k) {
    const int64_t size = std::min(kernels.block_k, s.k - k);
    bool* fit = s.fits + k / kernels.block_k * panels;
    std::fill(fit + first, fit + last, true);
    for (int64_t unit = 0; unit < size; unit += kSplitUnit) {
      for (int64_t panel = first; panel < last; ++panel) {
        const int64_t j = panel * kSplitPanel;
        const bool good = kernels.pack_b[parts - 1]({.src = s.b + (k + unit) * g.b_row + j * g.b_col,
                                                     .dst = s.packed + panels * split_panel_size(parts, k) +
                                                            panel * split_panel_size(parts, size) +
                                                            split_panel_size(parts, unit),
                                                     .count = std::min(s.n - j, kSplitPanel),
                                                     .k = std::min(size - unit, kSplitUnit),
                                                     .row = g.b_row,
                                                     .col = g.b_col});
        fit[panel] = fit[panel] && good;
      }
    }
  }
}

// All of a stretch. A product whose tiles are split over threads has its B split alike, worth a thread by
// itself or not: the same columns to the same thread, whose core then has them.
void split_b(const GemmArgs& g, int parts, const Stretch& s, double product_cost) {
  constexpr int64_t kEach = kSplitColumns / kSplitPanel;
  const int64_t groups = ceil_div(s.panels(), kEach);
  double cost = kSplitCost * static_cast<double>(kSplitColumns * s.k);
  if (product_cost >= 2 * g.worth) cost = std::max(cost, 2 * g.worth / static_cast<double>(groups));
  parallel_for(groups, g.grain(cost), [&](int64_t begin, int64_t end) {
    split_panels(g, parts, s, begin * kEach, std::min(s.panels(), end * kEach));
  });
}

}  // namespace

bool gemm_splits(const GemmArgs& g) {
  return is_splittable(g) &&
         cost_of(g, g.m, g.n) < kFmaCost * static_cast<double>(g.m * g.n) * static_cast<double>(g.k);
}

size_t gemm_split_scratch_bytes(const GemmArgs& g) {
  const Cut cut(g);
  return cut.packed_bytes + cut.fits_bytes;
}

double gemm_split_cost(const GemmArgs& g) { return cost_of(g, g.m, g.n); }

void gemm_split_run(const GemmArgs& g, const float* a, const float* b, const float* bias, float* c,
                    void* scratch, const float* residual) {
  const Cut cut(g);
  const GemmSplitKernels& kernels = *gemm_split_kernels();
  const bool finishes = bias || residual || g.activation != Activation::none;
  const bool past_caches = writes_past_caches(g, finishes, c);
  uint16_t* packed = static_cast<uint16_t*>(scratch);
  bool* fits = reinterpret_cast<bool*>(static_cast<char*>(scratch) + cut.packed_bytes);
  const int64_t tiles_m = ceil_div(g.m, cut.tile_m);
  const bool own = tiles_m == 1;  // a tile splits its columns of B itself: no other needs them
  for (int64_t jc = 0; jc < g.n; jc += cut.block_n) {
    const int64_t nc = std::min(cut.block_n, g.n - jc), tiles = tiles_m * ceil_div(nc, cut.tile_n);
    for (int64_t pc = 0; pc < g.k; pc += cut.stretch_k) {
      const int64_t kc = std::min(cut.stretch_k, g.k - pc);
      const Stretch stretch{b + pc * g.b_row + jc * g.b_col, kc, nc, packed, fits};
      GemmArgs tile = g;
      tile.k = kc;
      const double cost = cost_of(tile, g.m, nc);
      if (!own) split_b(g, cut.parts, stretch, cost);
      parallel_for(tiles, g.grain(cost / static_cast<double>(tiles)), [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          const int64_t i = t % tiles_m * cut.tile_m, j = t / tiles_m * cut.tile_n;
          GemmSplitBlock block = block_of(tile, a + i * g.a_row + pc * g.a_col, stretch.b + j * g.b_col,
                                          bias ? bias + jc + j : nullptr, c + i * g.c_row + jc + j);
          block.m = std::min(cut.tile_m, g.m - i);
          block.n = std::min(cut.tile_n, nc - j);
          if (residual) block.residual = residual + i * g.c_row + jc + j;
          block.packed_b = packed;
          block.first_panel = j / kSplitPanel;
          block.panels = stretch.panels();
          block.fits_b = fits;
          block.past_caches = past_caches;
          block.accumulate = g.accumulate || pc > 0;
          block.last = pc + kc >= g.k;
          if (own) {
            split_panels(g, cut.parts, stretch, block.first_panel,
                         block.first_panel + ceil_div(block.n, kSplitPanel));
          }
          kernels.multiply[cut.parts - 1](block);
        }
      });
    }
  }
}

bool gemm_split_prepacks(const GemmArgs& g) {
  return is_splittable(g) &&
         cost_of(g, g.m, g.n, true) < kFmaCost * static_cast<double>(g.m * g.n) * static_cast<double>(g.k);
}

namespace {

// Parts of all of B, then the verdicts.
size_t parts_bytes(const GemmArgs& g) {
  return static_cast<size_t>(ceil_div(g.n, kSplitPanel) * split_panel_size(split_parts(g.precision), g.k)) *
         sizeof(uint16_t);
}
// How many there are: of each panel over each block of K.
int64_t verdicts(const GemmArgs& g) {
  return ceil_div(g.n, kSplitPanel) * ceil_div(g.k, gemm_split_kernels()->block_k);
}
const bool* verdicts_of(const GemmArgs& g, const void* packed) {
  return reinterpret_cast<const bool*>(static_cast<const char*>(packed) + parts_bytes(g));
}

}  // namespace

size_t gemm_split_packed_bytes(const GemmArgs& g) {
  return parts_bytes(g) + static_cast<size_t>(verdicts(g));
}

bool gemm_split_fits(const GemmArgs& g, const void* packed) {
  const bool* fits = verdicts_of(g, packed);
  return std::all_of(fits, fits + verdicts(g), [](bool fit) { return fit; });
}

void gemm_split_pack(const GemmArgs& g, const float* b, void* packed) {
  bool* fits = reinterpret_cast<bool*>(static_cast<char*>(packed) + parts_bytes(g));
  split_b(g, split_parts(g.precision), {b, g.k, g.n, static_cast<uint16_t*>(packed), fits}, 0);
}

// Tiles are whole in m, so that a thread meets the same columns of B in every product.
void gemm_split_run_packed(const GemmArgs& g, const float* a, const float* b, const void* packed,
                           const float* bias, float* c) {
  const int parts = split_parts(g.precision);
  const int64_t panels = ceil_div(g.n, kSplitPanel);
  int64_t tile_n = std::min(kTileN, round_up(g.n, kSplitPanel));
  const int64_t threads = in_parallel() ? 1 : num_threads();
  while (tile_n > kMinTileN && ceil_div(g.n, tile_n) < threads) tile_n = round_up(tile_n / 2, kSplitPanel);
  const int64_t tiles_m = ceil_div(g.m, kTileM), tiles = tiles_m * ceil_div(g.n, tile_n);
  const double cost = cost_of(g, g.m, g.n, true) / static_cast<double>(tiles);
  parallel_for(tiles, grain_for(cost), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t i = t % tiles_m * kTileM, j = t / tiles_m * tile_n;
      GemmSplitBlock block =
          block_of(g, a + i * g.a_row, b + j * g.b_col, bias ? bias + j : nullptr, c + i * g.c_row + j);
      block.m = std::min(kTileM, g.m - i);
      block.n = std::min(tile_n, g.n - j);
      block.packed_b = static_cast<const uint16_t*>(packed);
      block.fits_b = verdicts_of(g, packed);
      block.first_panel = j / kSplitPanel;
      block.panels = panels;
      gemm_split_kernels()->multiply[parts - 1](block);
    }
  });
}

}  // namespace lamina
