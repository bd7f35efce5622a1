// M N K as in gemm.h. Panels as drawn in gemm_tiles.h.
#include "ops/gemm_tiles.h"

#include "simd/tiles.h"
#include "simd/transpose.h"
#include "simd/vec.h"

namespace lamina {
namespace {

// Of K at a time: a panel of A, 32 KB, stays in L1 while panels of B stream past it.
constexpr int64_t kBlockBytes = 1024;
constexpr int64_t kPanel = kTilesPanel, kLanes = VecI::kLanes;
constexpr int64_t kUnitBytes = kTilesUnitBytes * kPanel;  // of a panel over one unit

constexpr int64_t kAhead = 4;  // units to prefetch where rows lie along k; one where they lie across

LAMINA_INLINE int clamp_lanes(int64_t n) {
  return static_cast<int>(simd_max<int64_t>(0, simd_min<int64_t>(n, kLanes)));
}

// What differs between the types: 16 elements as words, the tile product, storing sums.
struct BFloat {
  using Item = uint16_t;
  using Out = uint16_t;
  static LAMINA_INLINE VecI load(const Item* p, int n) { return raw_load_u16(p, n); }
  template <int c, int a, int b>
  static LAMINA_INLINE void dot() {
    tile_dot_bf16<c, a, b>();
  }
  static LAMINA_INLINE void store(const float* sums, Out* to, int n) {
    store_rounded(to, VecF::load(sums), n);
  }
};
struct Int {
  using Item = int8_t;
  using Out = int32_t;
  static LAMINA_INLINE VecI load(const Item* p, int n) { return load_bytes(p, n); }
  template <int c, int a, int b>
  static LAMINA_INLINE void dot() {
    tile_dot_int8<c, a, b>();
  }
  static LAMINA_INLINE void store(const float* sums, Out* to, int n) {
    bit_cast<int32_t>(VecF::load(sums)).store(to, n);
  }
};

template <class Type>
constexpr int64_t kWord = 4 / static_cast<int64_t>(sizeof(typename Type::Item));
template <class Type>
constexpr int64_t kUnit = 16 * kWord<Type>;

// 16 words: element i of word l is p[l + i * step], for l < lanes(i).
template <class Type, class Lanes>
LAMINA_INLINE VecI words(const typename Type::Item* p, int64_t step, Lanes lanes) {
  VecI word;
#pragma GCC unroll 4
  for (int64_t i = 0; i < kWord<Type>; ++i) {
    const int n = lanes(i);
    const VecI part = Type::load(n > 0 ? p + i * step : p, n);
    word = i == 0 ? part : word | (part << static_cast<int>(i * (32 / kWord<Type>)));
  }
  return word;
}

// One half of a panel over one unit: 16 rows of 16 words. kAlongK: words are read along k, a row for each w,
// else along w, a row for each k; kTurn: and turned. kFull: there are 16 w and a whole unit of k.
template <class Type, bool kAlongK, bool kTurn, bool kFull>
LAMINA_INLINE void pack_square(const typename Type::Item* src, int64_t step, int64_t count, int64_t k,
                               int32_t* to) {
  const auto row = [&](int64_t r) __attribute__((always_inline)) {
    const auto* from = kFull || r < (kAlongK ? count : k) ? src + r * step : src;
    if constexpr (kAlongK) {
      if (kFull) prefetch(from + kAhead * kUnit<Type>);
      return words<Type>(from, 16, [=](int64_t i) {
        return kFull ? 16 : r < count ? clamp_lanes(k - 16 * i) : 0;
      });
    } else {
      if (kFull) {
#pragma GCC unroll 4
        for (int64_t i = 0; i < kWord<Type>; ++i) prefetch(from + (16 * i + kUnit<Type>)*step);
      }
      return words<Type>(from, 16 * step, [=](int64_t i) {
        return kFull ? 16 : r + 16 * i < k ? clamp_lanes(count) : 0;
      });
    }
  };
  if constexpr (kTurn) {
    VecI rows[16];
#pragma GCC unroll 16
    for (int64_t r = 0; r < 16; ++r) rows[r] = row(r);
    transpose(rows);
#pragma GCC unroll 16
    for (int64_t r = 0; r < 16; ++r) rows[r].store(to + r * 16);
  } else {
#pragma GCC unroll 4
    for (int64_t r = 0; r < 16; ++r) row(r).store(to + r * 16);
  }
}

template <class Type, bool kAlongK, bool kTurn>
void pack_panels(const GemmTilesPack& p) {
  const auto* src = static_cast<const typename Type::Item*>(p.src);
  char* dst = static_cast<char*>(p.dst);
  const int64_t step = kAlongK ? p.w_step : p.k_step;
  for (int64_t k = 0; k < p.k; k += kUnit<Type>, dst += kUnitBytes) {
    char* panel = dst;
    for (int64_t w = 0; w < p.count; w += kPanel, panel += p.panel_bytes) {
      for (int64_t half = w; half < simd_min(w + kPanel, p.count); half += 16) {
        const auto* from = src + half * p.w_step + k * p.k_step;
        int32_t* to = reinterpret_cast<int32_t*>(panel + (half - w) * 64);
        if (p.count - half >= 16 && p.k - k >= kUnit<Type>) {
          pack_square<Type, kAlongK, kTurn, true>(from, step, 16, kUnit<Type>, to);
        } else {
          pack_square<Type, kAlongK, kTurn, false>(from, step, p.count - half, p.k - k, to);
        }
      }
    }
  }
}

template <class Type>
void pack(const GemmTilesPack& p) {
  if (p.k_step == 1) return p.of_a ? pack_panels<Type, true, false>(p) : pack_panels<Type, true, true>(p);
  return p.of_a ? pack_panels<Type, false, true>(p) : pack_panels<Type, false, false>(p);
}

// A finished tile of C that is rounded and stored beside the products of the next.
template <class Type>
struct Results {
  alignas(64) float sums[4 * 256];  // [half of m][half of n][16][16]
  typename Type::Out* c;
  int64_t c_row, row = 0, rows = 0;
  int n_0, n_16;

  LAMINA_INLINE void step() {
    if (row >= rows) return;
    const float* from = sums + (row & 16) * 32 + (row & 15) * 16;
    Type::store(from, c + row * c_row, n_0);
    if (n_16 > 0) Type::store(from + 256, c + row * c_row + 16, n_16);
    ++row;
  }
  void finish() {
    while (row < rows) step();
  }
};

template <class Type, int MT, int NT>
void products(const char* a, const char* b, int64_t units, Results<Type>& results) {
  const int64_t each = (results.rows - results.row + units - 1) / units;
  for (int64_t i = 0; i < units; ++i, a += kUnitBytes, b += kUnitBytes) {
    tile_load<4>(a);
    tile_stream<6>(b);
    Type::template dot<0, 4, 6>();
    if constexpr (NT == 2) {
      tile_stream<7>(b + kTileBytes);
      Type::template dot<1, 4, 7>();
    }
    if constexpr (MT == 2) {
      tile_load<5>(a + kTileBytes);
      Type::template dot<2, 5, 6>();
      if constexpr (NT == 2) Type::template dot<3, 5, 7>();
    }
    for (int64_t r = 0; r < each; ++r) results.step();
  }
}

template <class Type>
using ProductsFn = void (*)(const char*, const char*, int64_t, Results<Type>&);
// [m > 16][n > 16]
template <class Type>
constexpr ProductsFn<Type> kProducts[2][2] = {{products<Type, 1, 1>, products<Type, 1, 2>},
                                              {products<Type, 2, 1>, products<Type, 2, 2>}};

// Sums of a 32 x 32 tile of C between blocks of K.
LAMINA_INLINE void load_sums(const char* sums, bool first) {
  if (first) {
    tile_zero<0>();
    tile_zero<1>();
    tile_zero<2>();
    tile_zero<3>();
  } else {
    tile_load<0>(sums);
    tile_load<1>(sums + kTileBytes);
    tile_load<2>(sums + 2 * kTileBytes);
    tile_load<3>(sums + 3 * kTileBytes);
  }
}
LAMINA_INLINE void store_sums(char* sums) {
  tile_store<0>(sums);
  tile_store<1>(sums + kTileBytes);
  tile_store<2>(sums + 2 * kTileBytes);
  tile_store<3>(sums + 3 * kTileBytes);
}

// Blocks of K outside, panels of B inside.
template <class Type>
void multiply(const GemmTilesBlock& g) {
  using Item = typename Type::Item;
  using Out = typename Type::Out;
  constexpr int64_t kBlock = kBlockBytes / static_cast<int64_t>(sizeof(Item)), kTileSums = 4 * kTileBytes;
  const TileScope scope;
  alignas(64) char panel[kPanel * kBlockBytes], sums[kTilesColumns / kPanel * kTileSums];
  const int64_t panel_bytes = tiles_panel_bytes(g.k, sizeof(Item));
  Results<Type> results[2];
  int turn = 0;
  for (int64_t pc = 0; pc < g.k; pc += kBlock) {
    const int64_t kc = simd_min(kBlock, g.k - pc), units = (kc + kUnit<Type> - 1) / kUnit<Type>;
    const int64_t at = pc / kUnit<Type> * kUnitBytes;
    const char* a = panel;
    if (g.packed_a) {
      a = static_cast<const char*>(g.packed_a) + at;
    } else {
      pack<Type>({static_cast<const Item*>(g.a) + pc, panel, g.m, kc, g.a_row, 1, 0, true});
    }
    const char* b = static_cast<const char*>(g.packed_b) + at;
    char* to = sums;
    for (int64_t j = 0; j < g.n; j += kPanel, b += panel_bytes, to += kTileSums) {
      load_sums(to, pc == 0);
      Results<Type>& before = results[turn];
      kProducts<Type>[g.m > 16][g.n - j > 16](a, b, units, before);
      if (pc + kBlock < g.k) {
        store_sums(to);
        continue;
      }
      before.finish();
      turn ^= 1;
      Results<Type>& next = results[turn];
      store_sums(reinterpret_cast<char*>(next.sums));
      next.c = static_cast<Out*>(g.c) + j;
      next.c_row = g.c_row;
      next.row = 0;
      next.rows = g.m;
      next.n_0 = clamp_lanes(g.n - j);
      next.n_16 = clamp_lanes(g.n - j - 16);
    }
  }
  results[turn].finish();
}

}  // namespace

namespace LAMINA_ROW {
extern const GemmTilesKernels gemm_tiles_kernels;
const GemmTilesKernels gemm_tiles_kernels = {
    .bf16 = {pack<BFloat>, multiply<BFloat>},
    .int8 = {pack<Int>, multiply<Int>},
};
}  // namespace LAMINA_ROW
}  // namespace lamina
