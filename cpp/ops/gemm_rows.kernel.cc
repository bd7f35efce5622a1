// M N K as in gemm.h; a register tile is R rows by NV vectors.
#include "ops/gemm_rows.h"

#include <utility>

#include "simd/vec.h"

namespace lamina {
namespace {

// The tile's sums, a row of B, one broadcast of A, and without fma its product.
#if LAMINA_VEC_REGISTERS == 32
constexpr int kMaxRows = 9, kMaxRowsInPlace = 8, kSpare = 1;
#elif LAMINA_VEC_BYTES == 32
constexpr int kMaxRows = 6, kMaxRowsInPlace = 6, kSpare = 1;
#else
constexpr int kMaxRows = 4, kMaxRowsInPlace = 4, kSpare = 2;
#endif
constexpr int kMaxVectors = 8;  // as many chains as hide the latency of fma for one row

constexpr int vectors_of(int rows) {
  const int fit = (kVecRegisters - kSpare) / (rows + 1);
  return fit < kMaxVectors ? fit : kMaxVectors;
}

// Rows of B asked for ahead, by the lines the tile will read: 8 of 512 bytes and less are on their way from
// L2 before they are needed. A single row does too little with them to wait for.
constexpr int kAhead = 8;

struct Tile {
  const float *a, *b;
  float* c;
  int64_t a_step, b_row, c_row, k;  // a_step: A's stride other than the one that is 1
  int tail;                         // columns in the last vector
  bool accumulate;
};

// kUnitRow: A(i, k) = a[i + k * a_step], else a[i * a_step + k]. kTail: the last vector is partial.
template <bool kUnitRow, bool kTail, int NV, int R>
void tile(const Tile& t) {
  using V = Vec<float>;
  using Raw = V::Raw;  // bare registers: the loops below unroll into them
  constexpr int kLanes = V::kLanes, kFull = kTail ? NV - 1 : NV;
  const int64_t a_step = t.a_step, b_row = t.b_row;
  const int tail = t.tail;
  float* c = t.c;
  Raw acc[R][NV];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) acc[i][j] = Raw{};
  }
  const float *a = t.a, *b = t.b;
  int64_t k = t.k;
  do {  // at least once: a loop that may be skipped has the sums go through memory
    Raw row[NV];
#pragma GCC unroll 8
    for (int j = 0; j < kFull; ++j) row[j] = V::load(b + j * kLanes).v;
    if constexpr (kTail) row[kFull] = raw_load(b + kFull * kLanes, tail);
    if constexpr (R > 1) {
#pragma GCC unroll 8
      for (int j = 0; j < NV; j += 64 / kVecBytes) prefetch(b + kAhead * b_row + j * kLanes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Raw x = raw_broadcast(kUnitRow ? a[i] : a[i * a_step]);
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) acc[i][j] = raw_fma(x, row[j], acc[i][j]);
    }
    a += kUnitRow ? a_step : 1;
    b += b_row;
  } while (--k > 0);
  if (t.accumulate) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < kFull; ++j) acc[i][j] += V::load(c + i * t.c_row + j * kLanes).v;
      if constexpr (kTail) acc[i][kFull] += raw_load(c + i * t.c_row + kFull * kLanes, tail);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kFull; ++j) V(acc[i][j]).store(c + j * kLanes);
    if constexpr (kTail) raw_store(c + kFull * kLanes, acc[i][kFull], tail);
    c += t.c_row;
  }
}

using TileFn = void (*)(const Tile&);

// [kUnitRow][kTail][NV - 1][R - 1]; null where the registers do not suffice.
struct TileTable {
  TileFn fn[2][2][kMaxVectors][kMaxRows];
};

template <bool kUnitRow, bool kTail, int NV, int R>
constexpr TileFn pick_tile() {
  if constexpr (NV <= vectors_of(R) && R <= (kUnitRow ? kMaxRows : kMaxRowsInPlace)) {
    return tile<kUnitRow, kTail, NV, R>;
  } else {
    return nullptr;
  }
}
template <int... I>
constexpr TileTable make_tiles(std::integer_sequence<int, I...>) {
  TileTable t{};
  ((t.fn[0][0][I / kMaxRows][I % kMaxRows] = pick_tile<false, false, I / kMaxRows + 1, I % kMaxRows + 1>()),
   ...);
  ((t.fn[0][1][I / kMaxRows][I % kMaxRows] = pick_tile<false, true, I / kMaxRows + 1, I % kMaxRows + 1>()),
   ...);
  ((t.fn[1][0][I / kMaxRows][I % kMaxRows] = pick_tile<true, false, I / kMaxRows + 1, I % kMaxRows + 1>()),
   ...);
  ((t.fn[1][1][I / kMaxRows][I % kMaxRows] = pick_tile<true, true, I / kMaxRows + 1, I % kMaxRows + 1>()),
   ...);
  return t;
}
constexpr TileTable kTiles = make_tiles(std::make_integer_sequence<int, kMaxVectors * kMaxRows>());

void multiply(const GemmRows& g) {
  constexpr int kLanes = Vec<float>::kLanes;
  const int vectors = static_cast<int>((g.n + kLanes - 1) / kLanes), width = vectors_of(g.rows);
  const int panels = (vectors + width - 1) / width, each = vectors / panels, wider = vectors % panels;
  const bool unit_row = g.a_row == 1;
  for (int64_t pc = 0; pc < g.k; pc += g.block_k) {
    const int64_t kc = simd_min(g.block_k, g.k - pc);
    int64_t j = 0;
    for (int p = 0; p < panels; ++p) {
      const int count = p < wider ? each + 1 : each;
      const int tail = static_cast<int>(simd_min<int64_t>(g.n - j - (count - 1) * kLanes, kLanes));
      const float* a = g.a + pc * g.a_col;
      for (int64_t i = 0; i < g.m; i += g.rows, a += g.a_group) {
        const int64_t rows = simd_min<int64_t>(g.rows, g.m - i);
        const TileFn fn = kTiles.fn[unit_row][tail < kLanes][count - 1][rows - 1];
        fn({a, g.b + pc * g.b_row + j, g.c + i * g.c_row + j, unit_row ? g.a_col : g.a_row, g.b_row, g.c_row,
            kc, tail, g.accumulate || pc > 0});
      }
      j += count * kLanes;
    }
  }
}

// Of one row of A: R rows of B at a time, kRows of them from as many parts of k, each a stream of its own
// that is asked for kFar elements ahead, along whole rows. c stays in L1.
constexpr int kStreams = 4;
constexpr int64_t kFar = 128;  // 512 bytes, of 128 to 2048 the best
constexpr int64_t kStreamCols = 4096;

// c += sum over r < R of a[r * a_step] B[r * b_step + j]; b_next: from a row to the one whose turn is next.
template <int R>
void add_rows(const float* a, int64_t a_step, const float* b, int64_t b_step, int64_t b_next, int64_t n,
              float* c) {
  using V = Vec<float>;
  constexpr int kLanes = V::kLanes, kVectors = 128 / kVecBytes;
  V x[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) x[r] = V(a[r * a_step]);
  int64_t j = 0;
  for (; j + kVectors * kLanes <= n; j += kVectors * kLanes) {
    const float* ahead = b + j + kFar + (j + kFar < n ? 0 : b_next - n);
    V sum[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[v] = V::load(c + j + v * kLanes);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      prefetch(ahead + r * b_step);
      prefetch(ahead + r * b_step + 16);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        sum[v] = fma(x[r], V::load(b + r * b_step + j + v * kLanes), sum[v]);
      }
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[v].store(c + j + v * kLanes);
  }
  for (; j < n; j += kLanes) {
    const int lanes = lanes_at<float>(n, j);
    V sum = V::load(c + j, lanes);
    for (int r = 0; r < R; ++r) sum = fma(x[r], V::load(b + r * b_step + j, lanes), sum);
    sum.store(c + j, lanes);
  }
}

void stream(const GemmRows& g) {
  const int64_t part = g.k / kStreams;
  for (int64_t j = 0; j < g.n; j += kStreamCols) {
    const int64_t n = simd_min(kStreamCols, g.n - j);
    float* c = g.c + j;
    if (!g.accumulate) __builtin_memset(c, 0, static_cast<size_t>(n) * sizeof(float));
    for (int64_t k = 0; k < part; ++k) {
      add_rows<kStreams>(g.a + k * g.a_col, part * g.a_col, g.b + k * g.b_row + j, part * g.b_row, g.b_row, n,
                         c);
    }
    for (int64_t k = kStreams * part; k < g.k; ++k) {
      add_rows<1>(g.a + k * g.a_col, 0, g.b + k * g.b_row + j, 0, g.b_row, n, c);
    }
  }
}

}  // namespace

namespace LAMINA_ROW {
extern const GemmRowsKernels gemm_rows_kernels;
const GemmRowsKernels gemm_rows_kernels = {kMaxRows, kMaxRowsInPlace, multiply, stream};
}  // namespace LAMINA_ROW
}  // namespace lamina
