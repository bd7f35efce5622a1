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
constexpr int64_t kAhead = 4;       // units to prefetch where B's columns lie along k; one where its rows do
constexpr int64_t kInL2 = 1 << 19;  // bytes of A that need not be asked for

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
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

// 16 words of n elements that lie side by side, zeros after them.
template <bool kFull, class Item>
LAMINA_INLINE VecI line(const Item* p, int64_t n) {
  VecI words;
  if constexpr (kFull) {
    __builtin_memcpy(&words.v, p, sizeof words.v);
  } else {
    Item part[kTilesUnitBytes / sizeof(Item)] = {};
    for (int64_t i = 0; i < n; ++i) part[i] = p[i];
    __builtin_memcpy(&words.v, part, sizeof words.v);
  }
  return words;
}

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

// 16 rows of 16 words, `to_row` bytes apart: half a panel over one unit. kAlongK: elements lie along k,
// `step` from one w to the next, else along w, `step` from one k to the next; kTurn: rows of k become words,
// or words of k rows. kFull: there are 16 w and a whole unit of k.
template <class Type, bool kAlongK, bool kTurn, bool kFull>
LAMINA_INLINE void pack_square(const typename Type::Item* src, int64_t step, int64_t count, int64_t k,
                               char* to, int64_t to_row) {
  const auto row = [&](int64_t r) __attribute__((always_inline)) {
    if constexpr (kAlongK) {
      const auto* from = kFull || r < count ? src + r * step : src;
      if (kFull) prefetch(from + kAhead * kUnit<Type>);
      return line<kFull>(from, r < count ? simd_min(k, kUnit<Type>) : 0);
    } else {
      const int64_t first = r * kWord<Type>;
      const auto* from = kFull || first < k ? src + first * step : src;
      if (kFull) {
#pragma GCC unroll 4
        for (int64_t i = 0; i < kWord<Type>; ++i) prefetch(from + (i + kUnit<Type>)*step);
      }
      return words<Type>(from, step, [=](int64_t i) {
        return kFull ? 16 : first + i < k ? clamp_lanes(count) : 0;
      });
    }
  };
  const auto put = [&](int64_t r, VecI x) __attribute__((always_inline)) {
    x.store(reinterpret_cast<int32_t*>(to + r * to_row));
  };
  if constexpr (kTurn) {
    VecI rows[16];
#pragma GCC unroll 16
    for (int64_t r = 0; r < 16; ++r) rows[r] = row(r);
    transpose(rows);
#pragma GCC unroll 16
    for (int64_t r = 0; r < 16; ++r) put(r, rows[r]);
  } else {
#pragma GCC unroll 4
    for (int64_t r = 0; r < 16; ++r) put(r, row(r));
  }
}
template <class Type, bool kAlongK, bool kTurn>
LAMINA_INLINE void pack_half(const typename Type::Item* src, int64_t step, int64_t count, int64_t k, char* to,
                             int64_t to_row) {
  if (count >= 16 && k >= kUnit<Type>) {
    pack_square<Type, kAlongK, kTurn, true>(src, step, 16, kUnit<Type>, to, to_row);
  } else {
    pack_square<Type, kAlongK, kTurn, false>(src, step, count, k, to, to_row);
  }
}

// A whole panel of B over a unit of k, rows of 32 bfloat16: two rows become pairs of both halves.
LAMINA_INLINE void pack_pairs(const uint16_t* src, int64_t row, char* to) {
#pragma GCC unroll 4
  for (int64_t r = 0; r < 16; ++r, src += 2 * row, to += 64) {
    prefetch(src + 32 * row);
    prefetch(src + 33 * row);
    VecI low, high;
    interleave_u16(src, src + row, low, high);
    low.store(reinterpret_cast<int32_t*>(to));
    high.store(reinterpret_cast<int32_t*>(to + kTileBytes));
  }
}

template <class Type, bool kAlongK>
void pack_panels(const GemmTilesPack& p) {
  const auto* src = static_cast<const typename Type::Item*>(p.src);
  char* dst = static_cast<char*>(p.dst);
  const int64_t step = kAlongK ? p.col : p.row, panel_bytes = tiles_panel_bytes(p.k, sizeof *src);
  for (int64_t k = 0; k < p.k; k += kUnit<Type>, dst += kUnitBytes) {
    char* panel = dst;
    for (int64_t j = 0; j < p.n; j += kPanel, panel += panel_bytes) {
      if constexpr (!kAlongK && kWord<Type> == 2) {
        if (p.n - j >= kPanel && p.k - k >= kUnit<Type>) {
          pack_pairs(src + j + k * p.row, p.row, panel);
          continue;
        }
      }
      for (int64_t half = j; half < simd_min(j + kPanel, p.n); half += 16) {
        pack_half<Type, kAlongK, kAlongK>(src + half * p.col + k * p.row, step, p.n - half, p.k - k,
                                          panel + (half - j) * 64, 64);
      }
    }
  }
}

template <class Type>
void pack_b(const GemmTilesPack& p) {
  return p.row == 1 ? pack_panels<Type, true>(p) : pack_panels<Type, false>(p);
}

template <class Type>
void turn_a(const GemmTilesTurn& t) {
  const auto* a = static_cast<const typename Type::Item*>(t.a);
  char* to = static_cast<char*>(t.dst);
  for (int64_t p = 0; p < t.k; p += kUnit<Type>, to += kTilesUnitBytes) {
    for (int64_t i = 0; i < t.m; i += 16) {
      pack_half<Type, false, true>(a + i + p * t.col, t.col, t.m - i, t.k - p, to + i * t.row_bytes,
                                   t.row_bytes);
    }
  }
}

// m rows of A over k to rows kBlockBytes apart; zeros up to a whole unit of k, for rows past m whatever is
// there: their results are not stored.
template <class Type>
void copy_a(const typename Type::Item* a, int64_t row, int64_t m, int64_t k, char* to) {
  for (int64_t i = 0; i < m; ++i, a += row, to += kBlockBytes) {
    char* line_to = to;
    int64_t p = 0;
    const auto put = [&](VecI x) __attribute__((always_inline)) {
      x.store(reinterpret_cast<int32_t*>(line_to));
      line_to += kTilesUnitBytes;
    };
    for (; p + kUnit<Type> <= k; p += kUnit<Type>) put(line<true>(a + p, kUnit<Type>));
    if (p < k) put(line<false>(a + p, k - p));
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
  int64_t left() const { return rows - row; }
  void finish() {
    while (row < rows) step();
  }
};

// What runs beside the tiles, after each unit of k: storing the last tile of C, asking L2 for the next A.
template <class Type>
struct Side {
  Results<Type> results;
  int64_t results_each = 0;
  const char* ahead = nullptr;
  int64_t ahead_row = 0, ahead_rows = 0;  // bytes, count

  __attribute__((noinline)) void run() {
    if (results.left() > 0) {
      for (int64_t i = 0; i < results_each; ++i) results.step();
    }
    const char* line = ahead;
    for (int64_t i = ahead_rows; i > 0; --i, line += ahead_row) prefetch_far(line);
    ahead += kTilesUnitBytes;
  }
};

// A panel of A over a block of k: rows `row` bytes apart, elements along k.
struct PanelOfA {
  const char* data;
  int64_t row;
};

template <class Type, int MT, int NT>
void products(PanelOfA a, const char* b, int64_t units, Side<Type>& side) {
  const char *top = a.data, *low = a.data + 16 * a.row;
  for (int64_t i = 0; i < units; ++i, top += kTilesUnitBytes, low += kTilesUnitBytes, b += kUnitBytes) {
    tile_load<4>(top, a.row);
    tile_stream<6>(b);
    Type::template dot<0, 4, 6>();
    if constexpr (NT == 2) {
      tile_stream<7>(b + kTileBytes);
      Type::template dot<1, 4, 7>();
    }
    if constexpr (MT == 2) {
      tile_load<5>(low, a.row);
      Type::template dot<2, 5, 6>();
      if constexpr (NT == 2) Type::template dot<3, 5, 7>();
    }
    side.run();
  }
}

template <class Type>
using ProductsFn = void (*)(PanelOfA, const char*, int64_t, Side<Type>&);
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

// True if rows of A may be read where they lie: whole lines that do not meet in a few sets of L1, whose 32
// rows of a KB each must stay there.
bool reads_in_place(const void* a, int64_t row_bytes) {
  constexpr int64_t kMeet = 2048;
  return row_bytes % kTilesUnitBytes == 0 && row_bytes % kMeet != 0 &&
         reinterpret_cast<uintptr_t>(a) % kTilesUnitBytes == 0;
}

// Panels of A outside, blocks of K, panels of B inside.
template <class Type>
void multiply(const GemmTilesBlock& g) {
  using Item = typename Type::Item;
  using Out = typename Type::Out;
  constexpr int64_t kItem = sizeof(Item), kBlock = kBlockBytes / kItem, kTileSums = 4 * kTileBytes;
  const TileScope scope;
  alignas(64) char panel[kPanel * kBlockBytes], sums[kTilesColumns / kPanel * kTileSums];
  const int64_t panel_bytes = tiles_panel_bytes(g.k, kItem), panels_n = ceil_div(g.n, kPanel);
  const bool in_place = reads_in_place(g.a, g.a_row * kItem);
  const auto at = [&](int64_t i, int64_t p) { return static_cast<const Item*>(g.a) + i * g.a_row + p; };
  Side<Type> side;
  // The lines of the next block of A are shared out among this one's panels of B.
  const bool fetches = g.m * g.k * kItem > kInL2;
  const int64_t lines = fetches ? ceil_div(kPanel, panels_n) : 0;  // for a unit
  side.ahead_row = g.a_row * kItem;
  for (int64_t i = 0; i < g.m; i += kPanel) {
    const int64_t m = simd_min(kPanel, g.m - i);
    for (int64_t pc = 0; pc < g.k; pc += kBlock) {
      const int64_t kc = simd_min(kBlock, g.k - pc), units = ceil_div(kc, kUnit<Type>);
      PanelOfA a{panel, kBlockBytes};
      if (in_place && m % 16 == 0 && kc % kUnit<Type> == 0) {
        a = {reinterpret_cast<const char*>(at(i, pc)), g.a_row * kItem};
      } else {
        copy_a<Type>(at(i, pc), g.a_row, m, kc, panel);
      }
      const bool more = pc + kBlock < g.k;
      const char* next = reinterpret_cast<const char*>(more ? at(i, pc + kBlock) : at(i + kPanel, 0));
      const bool last = !more && i + kPanel >= g.m;
      const char* b = static_cast<const char*>(g.packed_b) + pc / kUnit<Type> * kUnitBytes;
      char* to = sums;
      for (int64_t j = 0; j < g.n; j += kPanel, b += panel_bytes, to += kTileSums) {
        load_sums(to, pc == 0);
        side.results_each = ceil_div(side.results.left(), units);
        const int64_t row = j / kPanel * lines;
        side.ahead = next + row * side.ahead_row;
        side.ahead_rows = last || row >= kPanel ? 0 : lines;
        kProducts<Type>[m > 16][g.n - j > 16](a, b, units, side);
        if (more) {
          store_sums(to);
          continue;
        }
        Results<Type>& results = side.results;
        results.finish();
        store_sums(reinterpret_cast<char*>(results.sums));
        results.c = static_cast<Out*>(g.c) + i * g.c_row + j;
        results.c_row = g.c_row;
        results.row = 0;
        results.rows = m;
        results.n_0 = clamp_lanes(g.n - j);
        results.n_16 = clamp_lanes(g.n - j - 16);
      }
    }
  }
  side.results.finish();
}

}  // namespace

namespace LAMINA_ROW {
extern const GemmTilesKernels gemm_tiles_kernels;
const GemmTilesKernels gemm_tiles_kernels = {
    .bf16 = {pack_b<BFloat>, turn_a<BFloat>, multiply<BFloat>},
    .int8 = {pack_b<Int>, turn_a<Int>, multiply<Int>},
};
}  // namespace LAMINA_ROW
}  // namespace lamina
