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
// Parts handed to threads are blocks of columns, at least kMinColumns, and where these are too few, also of
// rows, at least kMinRows, up to kRowParts / n. A thread packs the B of its part itself: what another one has
// packed is read line by line from that one's core.
constexpr int64_t kMinColumns = 64, kMinRows = 256, kRowParts = 1024;
constexpr int64_t kTurnedM = 2048;  // rows out of A's columns at a time
// Nanoseconds: a byte of A by a column (0.4 ps a bfloat16 operation), packing a byte, storing a result.
constexpr double kProductCost = 0.0004, kPackCost = 0.05, kResultCost = 0.1;

// How C is cut; bits do not depend on it.
struct Cut {
  int64_t item, panel_bytes, panels;
  int64_t width, height;  // of a part
  int64_t parts_n, parts_m, most_parts_m;

  Cut(const GemmArgs& g, int64_t threads)
      : item(static_cast<int64_t>(itemsize(g.dtype))),
        panel_bytes(tiles_panel_bytes(g.k, item)),
        panels(ceil_div(g.n, kTilesPanel)) {
    const int64_t widest =
        std::clamp<int64_t>(kBytesOfB / panel_bytes * kTilesPanel, kTilesPanel, kTilesColumns);
    const int64_t share = std::max(ceil_div(g.n, threads), kMinColumns);
    parts_n = ceil_div(g.n, std::min(share, widest));
    if (parts_n > threads) parts_n = round_up(parts_n, threads);
    width = round_up(ceil_div(g.n, parts_n), kTilesPanel);
    parts_n = ceil_div(g.n, width);
    most_parts_m = std::min(ceil_div(g.m, kMinRows), ceil_div(kRowParts, g.n));
    parts_m = std::min(most_parts_m, ceil_div(threads, parts_n));
    height = round_up(ceil_div(g.m, parts_m), kTilesPanel);
    parts_m = ceil_div(g.m, height);
  }
};

// Of A's rows made of its columns: whole lines, an odd number, which spread over all sets of the caches.
int64_t turned_row_bytes(const Cut& cut) {
  const int64_t lines = cut.panel_bytes / (kTilesPanel * kTilesUnitBytes);
  return (lines | 1) * kTilesUnitBytes;
}

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
  const Cut cut(g, 1);  // for any number of threads
  const int64_t turned = g.a_col == 1 ? 0 : round_up(std::min(g.m, kTurnedM), 16) * turned_row_bytes(cut);
  return static_cast<size_t>(cut.most_parts_m * cut.panels * cut.panel_bytes + turned);
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
  if (g.a_col != 1 && g.m > kTurnedM) {
    GemmArgs rows = g;
    for (int64_t i = 0; i < g.m; i += kTurnedM) {
      rows.m = std::min(kTurnedM, g.m - i);
      gemm_tiles_run(rows, static_cast<const char*>(a) + i * static_cast<int64_t>(itemsize(g.dtype)), b,
                     static_cast<char*>(c) + i * g.c_row * out, scratch);
    }
    return;
  }
  const int64_t threads = in_parallel() ? 1 : num_threads();
  const Cut cut(g, threads);
  const auto at = [&](const void* p, int64_t elements) {
    return static_cast<const char*>(p) + elements * cut.item;
  };
  int64_t a_row = g.a_row;
  if (g.a_col != 1) {
    const int64_t unit = kTilesUnitBytes / cut.item, row_bytes = turned_row_bytes(cut);
    char* rows = static_cast<char*>(scratch) + cut.most_parts_m * cut.panels * cut.panel_bytes;
    const double cost = kPackCost * kTilesUnitBytes * static_cast<double>(g.m);
    parallel_for(ceil_div(g.k, unit), g.grain(cost), [&](int64_t begin, int64_t end) {
      kernels.turn({.a = at(a, begin * unit * g.a_col),
                    .dst = rows + begin * kTilesUnitBytes,
                    .m = g.m,
                    .k = std::min(g.k, end * unit) - begin * unit,
                    .col = g.a_col,
                    .row_bytes = row_bytes});
    });
    a = rows;
    a_row = row_bytes / cut.item;
  }
  // Where there are more blocks of columns than threads they go in rounds, so that a thread packs into memory
  // that its cache has.
  const int64_t parts = cut.parts_m * cut.parts_n, round = cut.parts_m > 1 ? parts : std::min(threads, parts);
  const double cost = gemm_tiles_cost(g) / static_cast<double>(parts);
  const auto multiply = [&](int64_t t, int64_t slot) {
    const int64_t i = t % cut.parts_m * cut.height, j = t / cut.parts_m * cut.width;
    const int64_t n = std::min(cut.width, g.n - j);
    char* packed_b =
        static_cast<char*>(scratch) +
        (slot % cut.parts_m * cut.panels + slot / cut.parts_m * cut.width / kTilesPanel) * cut.panel_bytes;
    kernels.pack(
        {.src = at(b, j * g.b_col), .dst = packed_b, .n = n, .k = g.k, .row = g.b_row, .col = g.b_col});
    kernels.multiply({.a = at(a, i * a_row),
                      .packed_b = packed_b,
                      .c = static_cast<char*>(c) + (i * g.c_row + j) * out,
                      .m = std::min(cut.height, g.m - i),
                      .n = n,
                      .k = g.k,
                      .a_row = a_row,
                      .c_row = g.c_row});
  };
  for (int64_t first = 0; first < parts; first += round) {
    parallel_for(std::min(round, parts - first), g.grain(cost), [&](int64_t begin, int64_t end) {
      for (int64_t slot = begin; slot < end; ++slot) multiply(first + slot, slot);
    });
  }
}

}  // namespace lamina
