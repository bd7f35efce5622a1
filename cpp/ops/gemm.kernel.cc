// M N K as in gemm.h; a register tile is R rows by NV vectors.
#include "ops/gemm.h"

#include <utility>

#include "ops/activation.kernel.h"
#include "simd/transpose.h"

namespace lamina {
namespace {

// Register tiles: accumulators, one row of B and one broadcast of A fill the 32 (AVX-512, NEON) or 16
// registers. kRows x kVectors takes the fewest loads for a multiply-add, 11 for 24: they cost power, and so
// clock; a power of two rows are packed by turning squares. Narrow tiles are for few columns. Without fma the
// product needs a register of its own.
#if LAMINA_VEC_REGISTERS == 32
constexpr int kRows = 8, kVectors = 3;
constexpr int kUnitRows = 14, kDirectRows = 11, kFewRows = 4;
#elif LAMINA_VEC_BYTES == 32
constexpr int kRows = 4, kVectors = 3;
constexpr int kUnitRows = 6, kDirectRows = 6, kFewRows = 3;
#else
constexpr int kRows = 4, kVectors = 2;
constexpr int kUnitRows = 4, kDirectRows = 4, kFewRows = 2;
#endif
constexpr int kNarrow = 2;      // vectors of a tile with kUnitRows or kDirectRows
constexpr int kMaxVectors = 4;  // up to kFewRows
constexpr int kMaxRows = kUnitRows;

constexpr bool kMaskedLoads = kVecBytes > 16;  // else a partial load is a chain of branches: B is padded

template <class T>
struct Tile {
  const T *a, *b;
  T* c;
  int64_t a_step, b_row, c_row, k;  // a_step: A's stride other than the one that is 1
  int tail;                         // columns in the last vector
  bool accumulate;
};

// kUnitRow: A(i, k) = a[i + k * a_step], else a[i * a_step + k]. kTail: the last vector is partial.
template <class T, bool kUnitRow, bool kTail, int NV, int R>
void tile(const Tile<T>& t) {
  using V = Vec<T>;
  constexpr int kLanes = V::kLanes;
  using Raw = typename V::Raw;  // bare registers: the loops below unroll into them
  constexpr int kFull = kTail ? NV - 1 : NV;
  Raw acc[R][NV];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    if constexpr (kUnitRow && NV > kNarrow) {  // of large products C lies beyond L2
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) __builtin_prefetch(t.c + i * t.c_row + j * kLanes, 0, 2);
    } else {
      __builtin_prefetch(t.c + i * t.c_row, 1, 3);
    }
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) acc[i][j] = Raw{};
  }
  const T *a = t.a, *b = t.b;
  const int64_t a_step = t.a_step, b_row = t.b_row;
  const int tail = t.tail;
  for (int64_t k = t.k; k > 0; --k) {
    Raw row[NV];
#pragma GCC unroll 4
    for (int j = 0; j < (kMaskedLoads ? kFull : NV); ++j) row[j] = V::load(b + j * kLanes).v;
    if constexpr (kTail && kMaskedLoads) row[kFull] = raw_load(b + kFull * kLanes, tail);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Raw x = raw_broadcast(kUnitRow ? a[i] : a[i * a_step]);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) acc[i][j] = raw_fma(x, row[j], acc[i][j]);
    }
    a += kUnitRow ? a_step : 1;
    b += b_row;
  }
  T* c = t.c;
  if (t.accumulate) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < kFull; ++j) acc[i][j] += V::load(c + i * t.c_row + j * kLanes).v;
      if constexpr (kTail) acc[i][kFull] += raw_load(c + i * t.c_row + kFull * kLanes, tail);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kFull; ++j) V(acc[i][j]).store(c + j * kLanes);
    if constexpr (kTail) raw_store(c + kFull * kLanes, acc[i][kFull], tail);
    c += t.c_row;
  }
}

template <class T>
using TileFn = void (*)(const Tile<T>&);

// [kUnitRow][kTail][NV - 1][R - 1]; null where the registers do not suffice.
template <class T>
struct TileTable {
  TileFn<T> fn[2][2][kMaxVectors][kMaxRows];
};

constexpr int rows_of(bool unit_row, int vectors) {
  if (vectors <= kNarrow) return unit_row ? kUnitRows : kDirectRows;
  return vectors <= kVectors ? kRows : kFewRows;
}
template <class T, bool kUnitRow, bool kTail, int NV, int R>
constexpr TileFn<T> pick_tile() {
  if constexpr (R <= rows_of(kUnitRow, NV)) {
    return tile<T, kUnitRow, kTail, NV, R>;
  } else {
    return nullptr;
  }
}
template <class T, int... I>
constexpr TileTable<T> make_tiles(std::integer_sequence<int, I...>) {
  TileTable<T> t{};
  ((t.fn[0][0][I / kMaxRows][I % kMaxRows] =
        pick_tile<T, false, false, I / kMaxRows + 1, I % kMaxRows + 1>()),
   ...);
  ((t.fn[0][1][I / kMaxRows][I % kMaxRows] = pick_tile<T, false, true, I / kMaxRows + 1, I % kMaxRows + 1>()),
   ...);
  ((t.fn[1][0][I / kMaxRows][I % kMaxRows] = pick_tile<T, true, false, I / kMaxRows + 1, I % kMaxRows + 1>()),
   ...);
  ((t.fn[1][1][I / kMaxRows][I % kMaxRows] = pick_tile<T, true, true, I / kMaxRows + 1, I % kMaxRows + 1>()),
   ...);
  return t;
}
template <class T>
constexpr TileTable<T> kTiles = make_tiles<T>(std::make_integer_sequence<int, kMaxVectors * kMaxRows>());

template <class T>
void multiply(const GemmBlock& g) {
  constexpr int kLanes = Vec<T>::kLanes;
  const T *a = static_cast<const T*>(g.a), *b = static_cast<const T*>(g.b),
          *bias = static_cast<const T*>(g.bias);
  T* c = static_cast<T*>(g.c);
  const bool unit_row = g.a_row == 1;
  const T* residual = static_cast<const T*>(g.residual);
  const bool finishes = g.last && (bias || residual || g.activation != Activation::none);
  for (int64_t j = 0; j < g.n; j += g.cols, b += g.b_panel) {
    const int64_t n = simd_min<int64_t>(g.cols, g.n - j);
    const int vectors = static_cast<int>((n + kLanes - 1) / kLanes);
    const int tail = static_cast<int>(n - (vectors - 1) * kLanes);
    const auto& fn = kTiles<T>.fn[unit_row][tail < kLanes][vectors - 1];
    const T* panel = a;
    for (int64_t i = 0; i < g.m; i += g.rows, panel += g.a_panel) {
      const int64_t m = simd_min<int64_t>(g.rows, g.m - i);
      fn[m - 1]({panel, b, c + i * g.c_row + j, unit_row ? g.a_col : g.a_row, g.b_row, g.c_row, g.k, tail,
                 g.accumulate});
    }
    if (!finishes) continue;
    finish<T>(g.activation, bias ? bias + j : nullptr, residual ? residual + j : nullptr, c + j, g.c_row, g.m,
              n);
  }
}

// dst[k * width + w] for one group of at most kLanes values of w.
template <class T>
void pack_group(const T* src, T* dst, int n, int stored, int64_t w_step, int64_t k_step, int64_t k_count,
                int width) {
  using V = Vec<T>;
  constexpr int kLanes = V::kLanes;
  constexpr int64_t kAhead = 128 / sizeof(T);
  if (w_step == 1) {
    for (int64_t k = 0; k < k_count; ++k) V::load(src + k * k_step, n).store(dst + k * width, stored);
  } else if (k_step == 1) {
    for (int64_t k = 0; k < k_count; k += kLanes) {
      const int m = lanes_at<T>(k_count, k);
      V r[kLanes];
#pragma GCC unroll 16
      for (int w = 0; w < kLanes; ++w) {
        if (w >= n) {
          r[w] = V();
          continue;
        }
        const T* row = src + w * w_step + k;
        __builtin_prefetch(row + kAhead);
        r[w] = V::load(row, m);
      }
      transpose(r);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        if (i < m) r[i].store(dst + (k + i) * width, stored);
      }
    }
  } else {
    for (int64_t k = 0; k < k_count; ++k) {
      V::load_strided(src + k * k_step, w_step, n).store(dst + k * width, stored);
    }
  }
}

// A panel of A whose rows lie along k: squares of kRows x kLanes, turned. Rows past `rows` repeat the last.
template <class T>
void pack_rows(const T* src, T* dst, int rows, int64_t row, int64_t k_count) {
  using V = Vec<T>;
  constexpr int kLanes = V::kLanes;
  constexpr int64_t kAhead = 128 / sizeof(T);
  const T* from[kRows];
  for (int i = 0; i < kRows; ++i) from[i] = src + simd_min(i, rows - 1) * row;
  int64_t k = 0;
  for (; k + kLanes <= k_count; k += kLanes, dst += kRows * kLanes) {
    V r[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      __builtin_prefetch(from[i] + k + kAhead);
      r[i] = V::load(from[i] + k);
    }
    rotate<kRows, log2_of(kRows)>(r);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) r[i].store(dst + i * kLanes);
  }
  for (; k < k_count; ++k, dst += kRows) {
    for (int i = 0; i < kRows; ++i) dst[i] = from[i][k];
  }
}

// Rows that lie along w are read some at a time to their ends: few streams, whole lines.
template <class T>
void pack(const GemmPack& p) {
  constexpr int kLanes = Vec<T>::kLanes;
  constexpr int64_t kEach = 16;
  const int64_t each = p.w_step == 1 ? kEach : p.k;
  const T* src = static_cast<const T*>(p.src);
  for (int64_t k = 0; k < p.k; k += each) {
    T* dst = static_cast<T*>(p.dst) + k * p.width;
    const int64_t kc = simd_min(each, p.k - k);
    for (int64_t at = 0; at < p.count; at += p.width, dst += p.width * p.k) {
      const int count = static_cast<int>(simd_min<int64_t>(p.width, p.count - at));
      const int padded = (count + p.pad - 1) / p.pad * p.pad;
      if (p.k_step == 1 && p.w_step != 1 && p.width == kRows && p.pad == 1) {
        pack_rows(src + at * p.w_step, dst, count, p.w_step, kc);
        continue;
      }
      for (int w = 0; w < count; w += kLanes) {
        pack_group(src + (at + w) * p.w_step + k * p.k_step, dst + w, simd_min(kLanes, count - w),
                   simd_min(kLanes, padded - w), p.w_step, p.k_step, kc, p.width);
      }
    }
  }
}

// Columns in strips of kStrip vectors, rows inside: the sums stay in registers.
template <class T>
void grad(Activation f, const void* dy_, const void* y_, void* g_, void* sums_, int64_t m, int64_t n) {
  using V = Vec<T>;
  constexpr int kStrip = 4;
  constexpr int64_t kWidth = kStrip * V::kLanes;
  with_activation(
      f, [=](auto tag) __attribute__((always_inline)) {
        for (int64_t j = 0; j < n; j += kWidth) {
          V sum[kStrip];
          int left[kStrip];
          for (int v = 0; v < kStrip; ++v) {
            const int64_t rest = n - j - v * V::kLanes;
            left[v] = static_cast<int>(simd_max<int64_t>(0, simd_min<int64_t>(rest, V::kLanes)));
          }
          const int vectors = static_cast<int>((simd_min(kWidth, n - j) + V::kLanes - 1) / V::kLanes);
          for (int64_t i = 0; i < m; ++i) {
            const int64_t at = i * n + j;
#pragma GCC unroll 4
            for (int v = 0; v < kStrip; ++v) {
              if (v >= vectors) break;
              const int64_t p = at + v * V::kLanes;
              const V dy = V::load(static_cast<const T*>(dy_) + p, left[v]);
              const V y = y_ ? V::load(static_cast<const T*>(y_) + p, left[v]) : dy;
              const V g = activate_grad<decltype(tag)::value>(dy, y);
              if (g_) g.store(static_cast<T*>(g_) + p, left[v]);
              sum[v] += g;
            }
          }
          for (int v = 0; v < vectors; ++v) sum[v].store(static_cast<T*>(sums_) + j + v * V::kLanes, left[v]);
        }
      });
}

template <class T>
void combine(const void* parts_, int64_t stride, int64_t blocks, void* y_, int64_t n, bool accumulate) {
  using V = Vec<T>;
  const T* parts = static_cast<const T*>(parts_);
  T* y = static_cast<T*>(y_);
  for (int64_t i = 0; i < n; i += V::kLanes) {
    const int left = lanes_at<T>(n, i);
    V sum = V::load(parts + i, left);
    for (int64_t b = 1; b < blocks; ++b) sum += V::load(parts + b * stride + i, left);
    if (accumulate) sum += V::load(y + i, left);
    sum.store(y + i, left);
  }
}

template <class T>
constexpr GemmTypeKernels kKernels = {
    .lanes = Vec<T>::kLanes,
    .rows = kRows,
    .cols = kVectors* Vec<T>::kLanes,
    .narrow_cols = kNarrow* Vec<T>::kLanes,
    .unit_rows = kUnitRows,
    .direct_rows = kDirectRows,
    .few_rows = kFewRows,
    .masked_loads = kMaskedLoads,
    .pack = pack<T>,
    .multiply = multiply<T>,
    .grad = grad<T>,
    .combine = combine<T>,
    .finish = finish<T>,
};

}  // namespace

namespace LAMINA_ROW {
extern const GemmKernels gemm_kernels;
const GemmKernels gemm_kernels = {kKernels<float>, kKernels<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
