#include "ops/gemm_plan.h"

#include <algorithm>
#include <tuple>

#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/gemm_dots.h"
#include "ops/gemm_outer.h"
#include "ops/gemm_rows.h"
#include "ops/gemm_skinny.h"
#include "ops/gemm_split.h"

namespace lamina {
namespace {

// A panel of A, rows x kBlockK, stays in L1 while one of B streams past it from L2; longer blocks read C back
// less often.
constexpr int64_t kBlockK = 384;
constexpr int64_t kUnitK = 16;  // blocks are whole vectors
constexpr int64_t kBlockN = 2048;
constexpr int64_t kBlockM = 4096;  // rows of A packed at a time
// Tiles of C handed to threads: their share of A and B fits L2.
constexpr int64_t kTileM = 112;
constexpr int64_t kTileN = 256;
// They shrink where C has fewer than kMinTiles, except in products of too few multiply-adds to be worth a
// thread.
constexpr int64_t kMinTiles = 8;
constexpr int64_t kMinTileN = 64;
constexpr double kSmallProduct = 500e3;
// Up to so many rows B is read in place; up to so many columns, A whose rows are contiguous: packing would
// cost more than it saves.
constexpr int64_t kDirectM = 48;
constexpr int64_t kDirectN = 512;
constexpr int64_t kNarrowN = 128;   // up to so many columns tiles are narrow and any A is read in place
constexpr int64_t kDirectB = 4096;  // elements of B that stay in L1 however they lie
constexpr int64_t kDirectK =
    1024;  // few rows of tiles: reading C back costs more than a B that streams from L2
// Where A is read in place, C is cut into groups of columns, wide ones two for a thread: a thread packs the
// columns of B that it multiplies, which then lie in its own core's cache.
constexpr int64_t kMaxGroups = 4, kMinGroupN = 64, kWideGroupN = 128;
// K is split where C has fewer than kSplitTiles tiles, into slices of about kSplitK or more: of a weight's
// gradient a thread then multiplies the rows that it has made. Those of parts, which cost more to share, of
// as many too, into slices of whole blocks.
constexpr int64_t kSplitTiles = 16;
constexpr int64_t kSplitK = 1024;
constexpr int64_t kPartsTileM = 64, kPartsTileN = 128, kPartsUnitK = 128;

size_t align_bytes(int64_t elements, size_t item) { return align64(static_cast<size_t>(elements) * item); }

size_t scratch_of(GemmWay way, const GemmArgs& g) {
  switch (way) {
    case GemmWay::skinny:
      return gemm_skinny_scratch_bytes(g);
    case GemmWay::parts:
      return gemm_split_scratch_bytes(g);
    case GemmWay::dots:
      return gemm_dots_scratch_bytes(g);
    case GemmWay::rows:
      return gemm_rows_scratch_bytes(g);
    case GemmWay::outer:
    case GemmWay::blocks:
      break;
  }
  return 0;
}

GemmPlan make_plan(const GemmArgs& g) {
  GemmPlan p;
  const GemmTypeKernels& kernels = gemm_kernels_of(g.dtype);
  p.kernels = &kernels;
  p.item = itemsize(g.dtype);

  p.slices = 1;
  const bool parts = g.k >= 2 * kSplitK && gemm_splits(g);  // whose tiles may be small
  if (g.k >= 2 * kSplitK) {
    const int64_t tiles = parts ? 2 * ceil_div(g.m, kPartsTileM) * ceil_div(g.n, kPartsTileN)
                                : ceil_div(g.m, kTileM) * ceil_div(g.n, kTileN);
    const int64_t slices = std::max<int64_t>(2, ceil_div(kSplitTiles, tiles));
    if (tiles < kSplitTiles + parts) p.slices = std::min(slices, g.k / kSplitK);
  }
  p.slice_k = p.slices == 1 ? g.k : round_up(ceil_div(g.k, p.slices), parts ? kPartsUnitK : 1);
  p.slices = ceil_div(g.k, p.slice_k);
  p.part_bytes = p.slices > 1 ? align_bytes(g.m * g.n, p.item) : 0;
  const GemmArgs slice = slice_of(g, p.slice_k);
  p.way = gemm_way(slice);
  if (p.way != GemmWay::blocks) {
    p.slice_bytes = align64(scratch_of(p.way, slice));
    p.total_bytes = static_cast<size_t>(p.slices) * (p.slice_bytes + p.part_bytes);
    return p;
  }

  const bool small_b = g.k * g.n <= kDirectB;
  p.pack_b = g.b_col != 1 || (g.m > kDirectM && g.n > kernels.narrow_cols && !small_b) ||
             (!kernels.masked_loads && g.n % kernels.lanes != 0);
  const int64_t direct_n = g.a_col == 1 ? kDirectN : kNarrowN;
  p.pack_a = (g.a_row != 1 && g.a_col != 1) || (g.n > direct_n && g.m > kernels.direct_rows);
  const int64_t block_k = p.pack_a || p.pack_b ? kBlockK : kDirectK;
  const int64_t blocks = ceil_div(p.slice_k, block_k);
  p.block_k = blocks == 1 ? p.slice_k : round_up(ceil_div(p.slice_k, blocks), kUnitK);
  if (p.pack_a || (p.pack_b && g.n > kNarrowN)) {
    p.rows = kernels.rows;
    p.cols = kernels.cols;
  } else {
    const int64_t rows = g.a_row == 1 ? kernels.unit_rows : kernels.direct_rows;
    p.rows = static_cast<int32_t>(g.m <= rows ? g.m : ceil_div(g.m, ceil_div(g.m, rows)));
    p.cols = (!p.pack_b && g.m <= kernels.few_rows ? 2 : 1) * kernels.narrow_cols;
  }
  p.block_m = p.pack_a ? std::min(g.m, kBlockM / p.rows * p.rows) : g.m;
  p.block_n = p.pack_b ? std::min(g.n, kBlockN) : g.n;
  p.tile_m = std::max<int64_t>(1, kTileM / p.rows) * p.rows;
  p.tile_n = std::max<int64_t>(1, kTileN / p.cols) * p.cols;
  const auto too_few = [&] { return ceil_div(g.m, p.tile_m) * ceil_div(g.n, p.tile_n) < kMinTiles; };
  if (p.slices == 1 && static_cast<double>(g.m * g.n) * static_cast<double>(g.k) > kSmallProduct) {
    while (p.tile_n > kMinTileN && too_few()) p.tile_n = ceil_div(p.tile_n / p.cols, 2) * p.cols;
    while (p.tile_m > 2 * p.rows && too_few()) p.tile_m = ceil_div(p.tile_m / p.rows, 2) * p.rows;
  }

  const int64_t a_size = p.pack_a ? ceil_div(p.block_m, p.rows) * p.rows * p.block_k : 0;
  const bool grouped = p.pack_b && !p.pack_a && p.slices == 1 && g.n <= kBlockN;
  const int64_t threads = num_threads();
  p.groups = 1;
  if (grouped && threads <= kMaxGroups && g.n >= threads * kMinGroupN) {
    const bool wide = 2 * threads <= kMaxGroups && g.n >= 2 * threads * kWideGroupN;
    p.groups = threads > 1 && wide ? 2 * threads : threads;
  }
  p.group_n = round_up(ceil_div(g.n, p.groups), kernels.lanes);
  const int64_t panels =
      ceil_div(p.block_n, p.cols) + (grouped ? kMaxGroups : 0);  // for any number of threads
  const int64_t b_size = p.pack_b ? panels * p.cols * p.block_k : 0;
  p.b_bytes = align_bytes(b_size, p.item);
  p.slice_bytes = p.b_bytes + align_bytes(a_size, p.item);
  p.total_bytes = static_cast<size_t>(p.slices) * (p.slice_bytes + p.part_bytes);
  return p;
}

// All that a plan depends on but the threads.
auto key_of(const GemmArgs& g) {
  return std::tuple(g.dtype, g.precision, g.m, g.n, g.k, g.a_row, g.a_col, g.b_row, g.b_col);
}

}  // namespace

GemmWay gemm_way(const GemmArgs& g) {
  if (gemm_is_skinny(g)) return GemmWay::skinny;
  if (gemm_splits(g)) return GemmWay::parts;
  if (gemm_is_dots(g)) return GemmWay::dots;
  if (gemm_is_outer(g)) return GemmWay::outer;
  if (gemm_is_rows(g)) return GemmWay::rows;
  return GemmWay::blocks;
}

// make_plan takes 30 ns: the last plan of this thread is kept, for a launch asks twice, and steps repeat.
GemmPlan plan_of(const GemmArgs& g) {
  struct Last {
    GemmArgs args;
    int threads = 0;
    GemmPlan plan{};
  };
  constinit thread_local Last last;
  const int threads = num_threads();  // which a plan depends on, too
  if (last.threads != threads || key_of(last.args) != key_of(g)) last = {g, threads, make_plan(g)};
  return last.plan;
}

}  // namespace lamina
