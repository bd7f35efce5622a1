#include "ops/gemm.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "base/dtype.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/dispatch.h"
#include "ops/gemm_dots.h"
#include "ops/gemm_outer.h"
#include "ops/gemm_plan.h"
#include "ops/gemm_rows.h"
#include "ops/gemm_skinny.h"
#include "ops/gemm_split.h"
#include "ops/gemm_tiles.h"

namespace lamina {

LAMINA_KERNELS(GemmKernels, gemm_kernels)

const GemmTypeKernels& gemm_kernels_of(DType dtype) {
  return dtype == DType::kFloat32 ? gemm_kernels().f32 : gemm_kernels().f64;
}

namespace {

std::atomic<MatmulPrecision> precision = MatmulPrecision::high;

constinit thread_local bool in_sequence = false;

// What makes a product by itself worth a second thread that is awake, in nanoseconds; kGrainCost else.
constexpr double kLoneGrainCost = 3e3;
constexpr double kLoneProduct = 250e3;           // multiply-adds; fewer are not worth asking,
constexpr double kMaxLoneCost = 60e3;            // and above so many nanoseconds they are split anyway
constexpr std::chrono::microseconds kAwake{50};  // after a loop, a thread of the pool

// True if the last product that asked was so recent that a thread of the pool is still awake.
bool follows_closely() {
  thread_local std::chrono::steady_clock::time_point last;
  const auto now = std::chrono::steady_clock::now();
  return now - std::exchange(last, now) < kAwake;
}

const char* at(const void* base, int64_t elements, size_t item) {
  return static_cast<const char*>(base) + elements * static_cast<int64_t>(item);
}
char* at(void* base, int64_t elements, size_t item) {
  return static_cast<char*>(base) + elements * static_cast<int64_t>(item);
}

// Rough nanoseconds of so many multiply-adds: four vectors in each.
double cost_of(double multiply_adds, const GemmTypeKernels& kernels) {
  return multiply_adds / (4.0 * kernels.lanes);
}

// Rows from ic, columns from jc, k in [pc, pc + kc).
struct Block {
  int64_t ic, mc, jc, nc, pc, kc;
};

struct Range {
  int64_t begin, size;
};
// Part t of `parts` nearly equal ones of [0, count), cut between panels.
Range part_of(int64_t t, int64_t parts, int64_t count, int64_t panel) {
  const int64_t panels = ceil_div(count, panel);
  const int64_t begin = t * panels / parts * panel, end = (t + 1) * panels / parts * panel;
  return {begin, std::min(end, count) - begin};
}

// What a kernel call needs of a block of A and B.
struct Blocks {
  const GemmArgs& g;
  const GemmPlan& p;
  const void *a, *b, *bias, *residual;
  void* c;
  int64_t c_row, k_begin, k_end;
  bool accumulate, finish;
  void *packed_a, *packed_b;

  int64_t tiles_m(const Block& s) const { return ceil_div(s.mc, p.tile_m); }
  int64_t tiles_n(const Block& s) const { return ceil_div(s.nc, p.tile_n); }
  int64_t tiles(const Block& s) const { return tiles_m(s) * tiles_n(s); }
  double tile_cost(const Block& s) const {
    return cost_of(static_cast<double>(s.mc * s.nc * s.kc), *p.kernels) / static_cast<double>(tiles(s));
  }

  // Tile t of the block.
  void multiply(int64_t t, const Block& s) const {
    const size_t item = p.item;
    const auto [i, m] = part_of(t % tiles_m(s), tiles_m(s), s.mc, p.rows);
    const auto [j, n] = part_of(t / tiles_m(s), tiles_n(s), s.nc, p.cols);
    GemmBlock tile;
    tile.m = m;
    tile.n = n;
    tile.k = s.kc;
    tile.rows = p.rows;
    tile.cols = p.cols;
    tile.a = p.pack_a ? at(packed_a, i * s.kc, item) : at(a, (s.ic + i) * g.a_row + s.pc * g.a_col, item);
    tile.b = p.pack_b ? at(packed_b, j * s.kc, item) : at(b, s.pc * g.b_row + s.jc + j, item);
    tile.a_row = p.pack_a ? 1 : g.a_row;
    tile.a_col = p.pack_a ? p.rows : g.a_col;
    tile.a_panel = p.rows * (p.pack_a ? s.kc : g.a_row);
    tile.b_row = p.pack_b ? p.cols : g.b_row;
    tile.b_panel = p.cols * (p.pack_b ? s.kc : 1);
    tile.c = at(c, (s.ic + i) * c_row + s.jc + j, item);
    tile.c_row = c_row;
    tile.bias = bias ? at(bias, s.jc + j, item) : nullptr;
    tile.residual = residual ? at(residual, (s.ic + i) * c_row + s.jc + j, item) : nullptr;
    tile.accumulate = accumulate || s.pc > k_begin;
    tile.last = finish && s.pc + s.kc >= k_end;
    tile.activation = g.activation;
    p.kernels->multiply(tile);
  }

  void pack(const Block& s) const {
    const size_t item = p.item;
    const auto [ic, mc, jc, nc, pc, kc] = s;
    const char* block_a = at(a, ic * g.a_row + pc * g.a_col, item);
    const char* block_b = at(b, pc * g.b_row + jc * g.b_col, item);
    const int64_t b_panels = p.pack_b && ic == 0 ? ceil_div(nc, p.cols) : 0;
    const int64_t a_panels = p.pack_a ? ceil_div(mc, p.rows) : 0;
    if (a_panels + b_panels == 0) return;
    // One item per panel. A chunk has its share of both operands: what a core packs of B, it multiplies.
    const int64_t panels = a_panels + b_panels;
    const double panel_cost = 0.15 * static_cast<double>(kc * (b_panels > 0 ? p.cols : p.rows));
    parallel_for(panels, g.grain(panel_cost), [&](int64_t begin, int64_t end) {
      const int64_t b_begin = begin * b_panels / panels, b_end = end * b_panels / panels;
      if (b_begin < b_end) {
        const int64_t j = b_begin * p.cols;
        p.kernels->pack({at(block_b, j * g.b_col, item), at(packed_b, j * kc, item),
                         std::min(nc, b_end * p.cols) - j, kc, g.b_col, g.b_row, p.cols, p.kernels->lanes});
      }
      const int64_t a_begin = begin - b_begin, a_end = end - b_end;
      if (a_begin < a_end) {
        const int64_t i = a_begin * p.rows;
        p.kernels->pack({at(block_a, i * g.a_row, item), at(packed_a, i * kc, item),
                         std::min(mc, a_end * p.rows) - i, kc, g.a_row, g.a_col, p.rows, 1});
      }
    });
  }

  // Columns [j_begin, j_end) of C.
  void multiply_columns(int64_t j_begin, int64_t j_end) const {
    for (int64_t jc = j_begin; jc < j_end; jc += p.block_n) {
      const int64_t nc = std::min(p.block_n, j_end - jc);
      for (int64_t pc = k_begin; pc < k_end; pc += p.block_k) {
        const int64_t kc = std::min(p.block_k, k_end - pc);
        for (int64_t ic = 0; ic < g.m; ic += p.block_m) {
          const Block block{ic, std::min(p.block_m, g.m - ic), jc, nc, pc, kc};
          pack(block);
          parallel_for(tiles(block), g.grain(tile_cost(block)), [&](int64_t begin, int64_t end) {
            for (int64_t t = begin; t < end; ++t) multiply(t, block);
          });
        }
      }
    }
  }
};

// The product over k in [k_begin, k_end), `scratch` of slice_bytes.
void multiply(const GemmArgs& g, const GemmPlan& p, const void* a, const void* b, const void* bias,
              const void* residual, void* c, int64_t c_row, int64_t k_begin, int64_t k_end, bool accumulate,
              bool finish, void* scratch) {
  if (p.way == GemmWay::outer) return gemm_outer_run(g, a, b, bias, residual, c);  // k is never sliced
  if (p.way == GemmWay::skinny || p.way == GemmWay::dots || p.way == GemmWay::rows) {
    GemmArgs slice = slice_of(g, k_end - k_begin);
    slice.c_row = c_row;
    slice.accumulate = accumulate;
    (p.way == GemmWay::skinny ? gemm_skinny_run
     : p.way == GemmWay::dots ? gemm_dots_run
                              : gemm_rows_run)(slice, at(a, k_begin * g.a_col, p.item),
                                               at(b, k_begin * g.b_row, p.item), c, scratch);
    if (finish && (bias || residual || g.activation != Activation::none)) {
      p.kernels->finish(g.activation, bias, residual, c, c_row, g.m, g.n);
    }
    return;
  }
  if (p.way == GemmWay::parts) {
    GemmArgs slice = slice_of(g, k_end - k_begin);
    slice.c_row = c_row;
    slice.accumulate = accumulate;
    if (!finish) slice.activation = Activation::none;
    return gemm_split_run(slice, static_cast<const float*>(a) + k_begin * g.a_col,
                          static_cast<const float*>(b) + k_begin * g.b_row, static_cast<const float*>(bias),
                          static_cast<float*>(c), scratch, static_cast<const float*>(residual));
  }
  const Blocks blocks{g,
                      p,
                      a,
                      b,
                      bias,
                      residual,
                      c,
                      c_row,
                      k_begin,
                      k_end,
                      accumulate,
                      finish,
                      static_cast<char*>(scratch) + p.b_bytes,
                      scratch};
  if (!p.pack_a && !p.pack_b) {  // nothing is shared: a thread goes through all of K
    const Block all{0, g.m, 0, g.n, k_begin, k_end - k_begin};
    parallel_for(blocks.tiles(all), g.grain(blocks.tile_cost(all)), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        for (int64_t pc = k_begin; pc < k_end; pc += p.block_k) {
          blocks.multiply(t, {0, g.m, 0, g.n, pc, std::min(p.block_k, k_end - pc)});
        }
      }
    });
    return;
  }
  const double cost =
      cost_of(static_cast<double>(g.m * g.n) * static_cast<double>(k_end - k_begin), *p.kernels);
  parallel_for(p.groups, g.grain(cost / static_cast<double>(p.groups)), [&](int64_t begin, int64_t end) {
    Blocks group = blocks;
    const int64_t panels = begin * ceil_div(p.group_n, p.cols);
    group.packed_b = at(blocks.packed_b, panels * p.cols * p.block_k, p.item);
    group.multiply_columns(begin * p.group_n, std::min(g.n, end * p.group_n));
  });
}

// f(bias) + residual, or f(C + bias) + residual where C accumulates: what is left to do when there is nothing
// to multiply.
void finish_only(const GemmArgs& g, const void* bias, const void* residual, void* c) {
  const GemmTypeKernels& kernels = gemm_kernels_of(g.dtype);
  const size_t item = itemsize(g.dtype);
  for (int64_t i = 0; i < g.m; ++i) {
    char* row = at(c, i * g.c_row, item);
    if (!g.accumulate) std::fill_n(row, g.n * item, char{0});
    const void* add = residual ? at(residual, i * g.c_row, item) : nullptr;
    kernels.finish(g.activation, bias, add, row, g.c_row, 1, g.n);
  }
}

}  // namespace

size_t gemm_scratch_bytes(const GemmArgs& g) {
  if (g.m == 0 || g.n == 0 || g.k == 0) return 0;
  // Everything packed, split and padded is below this.
  int64_t bound = 0;
  check(!__builtin_mul_overflow(g.m + 256, g.n + 256, &bound) && bound < int64_t{1} << 56, "matmul",
        "the product does not fit memory. Received: m=", g.m, ", n=", g.n, ", k=", g.k, ".");
  if (of_tiles(g.dtype)) return gemm_tiles_scratch_bytes(with_unit_strides(g));
  return plan_of(with_unit_strides(g)).total_bytes;
}

ProductSequence::ProductSequence() : before_(std::exchange(in_sequence, true)) {}
ProductSequence::~ProductSequence() { in_sequence = before_; }

MatmulPrecision matmul_precision() { return precision.load(std::memory_order_relaxed); }
void set_matmul_precision(MatmulPrecision value) { precision.store(value, std::memory_order_relaxed); }

double gemm_cost(const GemmArgs& g) {
  if (of_tiles(g.dtype)) return 100 + gemm_tiles_cost(g);
  constexpr double kCall = 30;
  switch (g.k > 0 ? gemm_way(g) : GemmWay::blocks) {
    case GemmWay::skinny:
      return kCall + gemm_skinny_cost(g);
    case GemmWay::parts:
      return kCall + gemm_split_cost(g);
    case GemmWay::dots:
      return kCall + gemm_dots_cost(g);
    case GemmWay::outer:
      return kCall + gemm_outer_cost(g);
    case GemmWay::rows:
      return kCall + gemm_rows_cost(g);
    case GemmWay::blocks:
      break;
  }
  const double multiply_adds = static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
  return kCall + cost_of(multiply_adds, gemm_kernels_of(g.dtype));
}

void gemm_run(const GemmArgs& args, const void* a, const void* b, const void* bias, void* c, void* scratch,
              const void* residual) {
  if (args.m == 0 || args.n == 0) return;
  GemmArgs g = with_unit_strides(args);
  const bool planned = !of_tiles(g.dtype) && g.k > 0;
  const GemmPlan p = planned ? plan_of(g) : GemmPlan{};
  if (gemm_flops(g) >= 2 * kLoneProduct && !in_sequence && !in_parallel() && num_threads() > 1) {
    const double cost = gemm_cost(g);
    if (cost >= 2 * kLoneGrainCost && cost < kMaxLoneCost && follows_closely()) g.worth = kLoneGrainCost;
  }
  if (of_tiles(g.dtype)) return gemm_tiles_run(g, a, b, c, scratch);
  if (!planned) return finish_only(args, bias, residual, c);
  if (p.slices == 1) {
    return multiply(g, p, a, b, bias, residual, c, g.c_row, 0, g.k, g.accumulate, true, scratch);
  }

  // Each slice of K makes a C of its own; they are added in order of k.
  char* parts = static_cast<char*>(scratch) + p.slices * p.slice_bytes;
  const double slice_cost =
      cost_of(static_cast<double>(g.m * g.n) * static_cast<double>(p.slice_k), *p.kernels);
  const bool finishes = bias || residual || g.activation != Activation::none;
  const bool alone = num_threads() == 1 || in_parallel();
  if (alone && !finishes && !g.accumulate && g.c_row == g.n) {  // each adds the sum of those before
    const void* sum = nullptr;
    for (int64_t s = 0; s < p.slices; ++s) {
      void* to = s + 1 < p.slices ? parts + s % 2 * p.part_bytes : c;
      multiply(g, p, a, b, nullptr, sum, to, g.n, s * p.slice_k, std::min(g.k, (s + 1) * p.slice_k), false,
               true, scratch);
      sum = to;
    }
    return;
  }
  const auto multiply_slices = [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      multiply(g, p, a, b, nullptr, nullptr, parts + s * p.part_bytes, g.n, s * p.slice_k,
               std::min(g.k, (s + 1) * p.slice_k), false, false,
               static_cast<char*>(scratch) + begin * p.slice_bytes);
    }
  };
  if (alone || p.slices < num_threads()) {  // which share each slice, and its scratch
    multiply_slices(0, p.slices);
  } else {
    parallel_for(p.slices, g.grain(slice_cost), multiply_slices);
  }
  const int64_t stride = static_cast<int64_t>(p.part_bytes / p.item);
  parallel_for(g.m, g.grain(0.2 * static_cast<double>(g.n * p.slices)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      char* row = at(c, i * g.c_row, p.item);
      p.kernels->combine(at(static_cast<const void*>(parts), i * g.n, p.item), stride, p.slices, row, g.n,
                         g.accumulate);
      if (!finishes) continue;
      const void* add = residual ? at(residual, i * g.c_row, p.item) : nullptr;
      p.kernels->finish(g.activation, bias, add, row, g.c_row, 1, g.n);
    }
  });
}

}  // namespace lamina
