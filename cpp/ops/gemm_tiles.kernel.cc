// M N K as in gemm.h. Panels as drawn in gemm_tiles.h.
#include "ops/gemm_tiles.h"

#include "simd/tiles.h"
#include "simd/transpose.h"
#include "simd/vec.h"

namespace lamina {
namespace {

constexpr int64_t kBlockBytes = 2048;
constexpr int64_t kPanel = kTilesPanel, kLanes = VecI::kLanes;
constexpr int64_t kUnitBytes = kTilesUnitBytes * kPanel;  // of a panel over one unit

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
  static LAMINA_INLINE void store(const float* sums, Out* to, int n) { store_bf16(to, VecF::load(sums), n); }
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

// 16 words: element i of word l is p[l + i * step], there where l < lanes and i * 16 < k (along k: the lanes
// are k themselves, and `lanes` counts all that are left).
template <class Type, bool kAlongK>
LAMINA_INLINE VecI words(const typename Type::Item* p, int64_t step, int64_t lanes, int64_t k) {
  VecI word;
#pragma GCC unroll 4
  for (int64_t i = 0; i < kWord<Type>; ++i) {
    const int n = kAlongK ? clamp_lanes(lanes - 16 * i) : 16 * i < k ? static_cast<int>(lanes) : 0;
    const VecI part = Type::load(n > 0 ? p + i * step : p, n);
    word = i == 0 ? part : word | (part << static_cast<int>(i * (32 / kWord<Type>)));
  }
  return word;
}

// One half of a panel over one unit: 16 rows of 16 words. of_a: rows are w, words k; else rows are k, words
// w.
template <class Type>
void pack_square(const typename Type::Item* src, int64_t w_step, int64_t k_step, int64_t count, int64_t k,
                 bool of_a, int32_t* to) {
  const int w_lanes = clamp_lanes(count);
  VecI rows[16];
  if (k_step == 1) {  // words along k, one row for each w
#pragma GCC unroll 16
    for (int64_t w = 0; w < 16; ++w) {
      rows[w] = words<Type, true>(w < count ? src + w * w_step : src, 16, w < count ? k : 0, 0);
    }
  } else {  // words along w, one row for each k
#pragma GCC unroll 16
    for (int64_t i = 0; i < 16; ++i) {
      rows[i] = words<Type, false>(i < k ? src + i * k_step : src, 16 * k_step, w_lanes, k - i);
    }
  }
  if (of_a != (k_step == 1)) transpose(rows);
#pragma GCC unroll 16
  for (int64_t i = 0; i < 16; ++i) rows[i].store(to + i * 16);
}

template <class Type>
void pack(const GemmTilesPack& p) {
  using Item = typename Type::Item;
  const Item* src = static_cast<const Item*>(p.src);
  int32_t* to = static_cast<int32_t*>(p.dst);
  for (int64_t k = 0; k < p.k; k += kUnit<Type>) {
    for (int64_t half = 0; half < kPanel; half += 16, to += 256) {
      if (half < p.count) {
        pack_square<Type>(src + half * p.w_step + k * p.k_step, p.w_step, p.k_step, p.count - half, p.k - k,
                          p.of_a, to);
      }
    }
  }
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
    tile_load<6>(b);
    Type::template dot<0, 4, 6>();
    if constexpr (NT == 2) {
      tile_load<7>(b + kTileBytes);
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

template <class Type>
void multiply(const GemmTilesBlock& g) {
  using Out = typename Type::Out;
  const TileScope scope;
  alignas(64) char a[kPanel * kBlockBytes];
  pack<Type>({g.a, a, g.m, g.k, g.a_row, g.a_col, true});
  const int64_t units = (g.k + kUnit<Type> - 1) / kUnit<Type>;
  const int64_t sums_step = g.sums_row * 4;
  const char* b = static_cast<const char*>(g.packed_b);
  Results<Type> results[2];
  int turn = 0;
  for (int64_t j = 0; j < g.n; j += kPanel, b += units * kUnitBytes) {
    char* sums = static_cast<char*>(g.sums) + j * 4;
    if (g.first) {
      tile_zero<0>();
      tile_zero<1>();
      tile_zero<2>();
      tile_zero<3>();
    } else {
      tile_load<0>(sums, sums_step);
      tile_load<1>(sums + 64, sums_step);
      tile_load<2>(sums + 16 * sums_step, sums_step);
      tile_load<3>(sums + 16 * sums_step + 64, sums_step);
    }
    Results<Type>& before = results[turn];
    turn ^= 1;
    kProducts<Type>[g.m > 16][g.n - j > 16](a, b, units, before);
    before.finish();
    if (!g.last) {
      tile_store<0>(sums, sums_step);
      tile_store<1>(sums + 64, sums_step);
      tile_store<2>(sums + 16 * sums_step, sums_step);
      tile_store<3>(sums + 16 * sums_step + 64, sums_step);
      continue;
    }
    Results<Type>& next = results[turn];
    tile_store<0>(next.sums);
    tile_store<1>(next.sums + 256);
    tile_store<2>(next.sums + 512);
    tile_store<3>(next.sums + 768);
    next.c = static_cast<Out*>(g.c) + j;
    next.c_row = g.c_row;
    next.row = 0;
    next.rows = g.m;
    next.n_0 = clamp_lanes(g.n - j);
    next.n_16 = clamp_lanes(g.n - j - 16);
  }
  results[turn].finish();
}

}  // namespace

namespace LAMINA_ROW {
extern const GemmTilesKernels gemm_tiles_kernels;
const GemmTilesKernels gemm_tiles_kernels = {
    .block_bytes = kBlockBytes,
    .bf16 = {pack<BFloat>, multiply<BFloat>},
    .int8 = {pack<Int>, multiply<Int>},
};
}  // namespace LAMINA_ROW
}  // namespace lamina
