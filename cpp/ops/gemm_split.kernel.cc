// M N K as in gemm.h, P parts as in gemm_split.h.
#include "ops/gemm_split.h"

#include "ops/gemm_split.kernel.h"

namespace lamina {
namespace {

// What follows the sums of C.
void finish_block(const GemmSplitBlock& g, int64_t i, int64_t j, int64_t m, int64_t n) {
  const int64_t at = i * g.c_row + j;
  finish<float>(g.activation, g.bias ? g.bias + j : nullptr, g.residual ? g.residual + at : nullptr, g.c + at,
                g.c_row, m, n);
}

constexpr int64_t kElementsInL2 = 1 << 19;  // of B, split

// Blocks of K outside, panels of A, panels of B inside.
template <int P>
void multiply(const GemmSplitBlock& g) {
  const TileScope scope;
  alignas(64) uint16_t panels[2][split_panel_size(P, kBlockK)];
  Side<Splitter<P>> side;
  side.results.past_caches = g.past_caches;
  const int64_t panels_n = ceil_div(g.n, kPanel);
  // It is done as they leave the tiles, but for functions that take long.
  const bool finishes = g.last && (g.bias || g.residual || g.activation != Activation::none);
  const bool in_tiles = g.activation == Activation::none || g.activation == Activation::relu;
  const bool in_l2 = g.panels * split_panel_size(P, g.k) <= kElementsInL2;
  const auto begin_a = [&](int64_t pc, int64_t i, int turn) {
    const float* after =
        i + kPanel < g.m ? g.a + (i + kPanel) * g.a_row + pc * g.a_col : g.a + (pc + kBlockK) * g.a_col;
    side.next.begin(true, g.a + i * g.a_row + pc * g.a_col, g.a_row, g.a_col, simd_min(kPanel, g.m - i),
                    simd_min(kBlockK, g.k - pc), panels[turn], after);
  };
  int turn = 0;
  begin_a(0, 0, turn);
  side.next.finish();
  for (int64_t pc = 0, block = 0; pc < g.k; pc += kBlockK, ++block) {
    const int64_t kc = simd_min(kBlockK, g.k - pc), units = ceil_div(kc, kUnit);
    const int64_t groups = units * runs_of(P);
    const bool add = g.accumulate || pc > 0, last = pc + kBlockK >= g.k;
    const uint16_t* b =
        g.packed_b + g.panels * split_panel_size(P, pc) + g.first_panel * split_panel_size(P, kc);
    const bool* fits_b = g.fits_b + block * g.panels + g.first_panel;
    for (int64_t i = 0; i < g.m; i += kPanel) {
      const int64_t m = simd_min(kPanel, g.m - i);
      const bool fits_a = side.next.fits();
      const uint16_t* a = panels[turn];
      turn ^= 1;
      if (i + kPanel < g.m) {
        begin_a(pc, i + kPanel, turn);
      } else if (pc + kBlockK < g.k) {
        begin_a(pc + kBlockK, 0, turn);
      }
      side.next_each = ceil_div(side.next.left(), groups * panels_n);
      for (int64_t panel = 0; panel < panels_n; ++panel) {
        const int64_t j = panel * kPanel, n = simd_min(kPanel, g.n - j);
        float* c = g.c + i * g.c_row + j;
        if (fits_a && fits_b[panel]) {
          side.results_each = ceil_div(side.results.left(), groups);
          zero_c();
          const uint16_t* panel_b = b + panel * split_panel_size(P, kc);
          if (in_l2) {
            kProducts<P, StreamedB, Side<Splitter<P>>>[m > kTileRows][n > kTileRows]({{a}}, panel_b, units,
                                                                                     side);
          } else {
            kProducts<P, PanelOfA, Side<Splitter<P>>>[m > kTileRows][n > kTileRows]({a}, panel_b, units,
                                                                                    side);
          }
          side.results.finish();
          store_c(side.results.begin(c, g.c_row, m, n, add));
          if (last && finishes && in_tiles) {
            side.results.follow_with({g.bias ? g.bias + j : nullptr,
                                      g.residual ? g.residual + i * g.c_row + j : nullptr,
                                      g.activation == Activation::relu});
          }
        } else {
          side.results.finish();
          fma_tile(g.a + i * g.a_row + pc * g.a_col, g.a_row, g.a_col, g.b + pc * g.b_row + j * g.b_col,
                   g.b_row, g.b_col, c, g.c_row, m, n, kc, add);
          if (last && finishes && in_tiles) finish_block(g, i, j, m, n);
        }
      }
      side.next.finish();
      if (last && finishes && !in_tiles) {
        side.results.finish();
        finish_block(g, i, 0, m, g.n);
      }
    }
  }
  side.results.finish();
  if (g.past_caches) stream_fence();
}

template <int P>
bool pack_b(const GemmSplitPack& p) {
  Splitter<P> splitter;
  splitter.begin(false, p.src, p.col, p.row, p.count, p.k, p.dst);
  splitter.finish();
  return splitter.fits();
}

}  // namespace

namespace LAMINA_ROW {
extern const GemmSplitKernels gemm_split_kernels;
const GemmSplitKernels gemm_split_kernels = {
    .block_k = kBlockK,
    .pack_b = {pack_b<1>, pack_b<2>, pack_b<3>},
    .multiply = {multiply<1>, multiply<2>, multiply<3>},
};
}  // namespace LAMINA_ROW
}  // namespace lamina
