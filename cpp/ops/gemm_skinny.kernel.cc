// M N K as in gemm.h. A chunk is 32 columns of one unit of k.
#include "ops/gemm_skinny.h"

#include "ops/gemm_split.kernel.h"

namespace lamina {
namespace {

constexpr int P = 3;
constexpr float kScaleBack = 0x1p-32f;    // A alone is scaled
constexpr int32_t kLargeBits = 64 << 23;  // of 2^-63
constexpr int64_t kChunkSize = P * kPartSize;
constexpr int64_t kBlockUnits = 8;  // of k, summed in tiles; longer sums err more
// Of A's parts: up to 16 rows have no second half.
template <int MT>
constexpr int64_t kPartA = MT == 1 ? kTile : kPartSize;

// Splits B chunk by chunk, down the units of 32 columns, then of the next.
class ChunkSplitter {
 public:
  explicit ChunkSplitter(const GemmSkinny& g)
      : g_(g),
        b_row_(g.b_row),
        units_(ceil_div(g.k, kUnit)),
        end_(g.ring + g.chunks * kChunkSize),
        to_(g.ring) {}

  bool left() const { return j_ < g_.n; }
  // Of 32 rows and 32 columns.
  bool whole() const { return g_.k - unit_ * kUnit >= kUnit && g_.n - j_ >= kPanel; }

  // Begins a chunk: all its rows are split before next().
  void begin() {
    src_ = g_.b + unit_ * kUnit * b_row_ + j_;
    rows_ = simd_min(kUnit, g_.k - unit_ * kUnit);
    cols_ = g_.n - j_;
    if (unit_ % kBlockUnits > 0) return;
    turn_ = (turn_ + 1) % kBlocks;
    seen_[turn_][0] = seen_[turn_][1] = VecI();
  }
  void next() {
    to_ += kChunkSize;
    if (to_ == end_) to_ = g_.ring;
    if (++unit_ < units_) return;
    unit_ = 0;
    j_ += kPanel;
  }
  // Rows [i, i + kCount) of its tiles, of 16.
  template <bool kWhole, int kCount>
  LAMINA_INLINE void rows(int64_t i) {
    VecI seen[2] = {seen_[turn_][0], seen_[turn_][1]};
#pragma GCC unroll 4
    for (int r = 0; r < kCount; ++r) {
      const float *p = src_ + (i + r) * b_row_, *q = p + 16 * b_row_;
#pragma GCC unroll 2
      for (int t = 0; t < 2; ++t) {
        const int lanes = kWhole ? 16 : clamp_lanes(cols_ - t * 16);
        const VecF x = load<kWhole>(p + t * 16, i + r < rows_ ? lanes : 0);
        const VecF y = load<kWhole>(q + t * 16, i + r + 16 < rows_ ? lanes : 0);
        split(x, y, to_ + t * kTile + (i + r) * kUnit, seen[t]);
      }
    }
    seen_[turn_][0] = seen[0];
    seen_[turn_][1] = seen[1];
  }
  void chunk() {
    begin();
    for (int64_t i = 0; i < kTileRows; i += 4) whole() ? rows<true, 4>(i) : rows<false, 4>(i);
    next();
  }

  // Of block `block` of k, counted through all columns, of the last three: none of its columns is so small
  // that parts were lost.
  bool kept_all(int64_t block) const {
    bool kept = true;
    for (const VecI& seen : seen_[block % kBlocks]) {
      const VecI bits = seen & VecI(0x7fffffff);
      kept = kept && all((bits == VecI(0)) | (bits >= VecI(kLargeBits)));
    }
    return kept;
  }

 private:
  template <bool kWhole>
  static LAMINA_INLINE VecF load(const float* p, int lanes) {
    return kWhole ? VecF::load(p) : lanes > 0 ? VecF::load(p, lanes) : VecF();
  }
  // Three parts of each of 16 pairs, cut off one after the other; the last is what is left, exact.
  static LAMINA_INLINE void split(VecF x, VecF y, uint16_t* row, VecI& seen) {
    const VecI upper(static_cast<int32_t>(0xffff0000));
    seen = seen | bit_cast<int32_t>(x) | bit_cast<int32_t>(y);
#pragma GCC unroll 3
    for (int p = 0; p < P; ++p) {
      const VecI pairs = upper_halves(bit_cast<int32_t>(x), bit_cast<int32_t>(y));
      __builtin_memcpy(row + p * kPartSize, &pairs.v, sizeof pairs.v);
      x = x - bit_cast<float>(bit_cast<int32_t>(x) & upper);
      y = y - bit_cast<float>(bit_cast<int32_t>(y) & upper);
    }
  }

  const GemmSkinny& g_;
  const int64_t b_row_, units_;
  const uint16_t* const end_;
  uint16_t* to_;
  const float* src_ = nullptr;
  int64_t j_ = 0, unit_ = 0, rows_ = 0, cols_ = 0;
  static constexpr int64_t kBlocks =
      kSkinnyAhead + 1;  // of one unit each: begun before the first is complete
  int64_t turn_ = kBlocks - 1;
  VecI seen_[kBlocks][2];  // the bits of all elements of each column
};

// Rows that are split after each pair of parts is multiplied.
constexpr int kRowsBeside[6] = {3, 3, 2, 3, 3, 2}, kRowBeside[6] = {0, 3, 6, 8, 11, 14};

// C += A's parts times a chunk of B, and another chunk of B is split beside. Tiles 4 and 5 are A, 6 and 7 B.
//
// Up to 16 rows: small products first would be a chain of six for two tiles of C, each of which waits 52
// cycles for the one before. So there are two sums for each: 0 and 1 of products with A's first part, 2 and 3
// of the others.
template <int MT, bool kBeside>
LAMINA_INLINE void multiply_chunk(const uint16_t* a, const uint16_t* b, ChunkSplitter& beside) {
  constexpr int64_t kPart = kPartA<MT>;
  const auto rows = [&]<int r>() __attribute__((always_inline)) {
    if constexpr (kBeside) beside.rows<true, kRowsBeside[r]>(kRowBeside[r]);
  };
  if constexpr (MT == 1) {
    tile_load<4>(a);
    load_b<2, false>(b + 2 * kPartSize);
    tile_dot_bf16<0, 4, 6>();  // 1 3
    tile_dot_bf16<1, 4, 7>();
    rows.template operator()<0>();
    tile_load<5>(a + kPart);
    load_b<2, false>(b + kPartSize);
    tile_dot_bf16<2, 5, 6>();  // 2 2
    tile_dot_bf16<3, 5, 7>();
    rows.template operator()<1>();
    tile_dot_bf16<0, 4, 6>();  // 1 2
    tile_dot_bf16<1, 4, 7>();
    rows.template operator()<2>();
    tile_load<5>(a + 2 * kPart);
    load_b<2, false>(b);
    tile_dot_bf16<2, 5, 6>();  // 3 1
    tile_dot_bf16<3, 5, 7>();
    rows.template operator()<3>();
    tile_dot_bf16<0, 4, 6>();  // 1 1
    tile_dot_bf16<1, 4, 7>();
    rows.template operator()<4>();
    tile_load<5>(a + kPart);
    tile_dot_bf16<2, 5, 6>();  // 2 1
    tile_dot_bf16<3, 5, 7>();
    rows.template operator()<5>();
  } else {
    const auto la = [&](int part) __attribute__((always_inline)) {
      load_a<2, false>(a + part * kPart, kTile, 64);
    };
    la(0);
    load_b<2, false>(b + 2 * kPartSize);
    dot<2, 2>();  // 1 3
    rows.template operator()<0>();
    load_b<2, false>(b + kPartSize);
    dot<2, 2>();  // 1 2
    rows.template operator()<1>();
    la(1);
    dot<2, 2>();  // 2 2
    rows.template operator()<2>();
    load_b<2, false>(b);
    dot<2, 2>();  // 2 1
    rows.template operator()<3>();
    la(2);
    dot<2, 2>();  // 3 1
    rows.template operator()<4>();
    la(0);
    dot<2, 2>();  // 1 1
    rows.template operator()<5>();
  }
}

// Sums over a block of k on their way to C, taken there after the products of the next. Tiles: [half of
// m][half of n][16][16], of up to 16 rows [summand][half of n].
template <int MT>
struct Sums {
  alignas(64) float tiles[4 * 256];
  int64_t i, j, k, m = 0, n, k_count;
  bool kept, accumulate;

  void finish(const GemmSkinny& g) {
    if (m == 0) return;
    float* c = g.c + i * g.c_row + j;
    if (!kept || !finite()) {
      fma_tile(g.a + i * g.a_row + k * g.a_col, g.a_row, g.a_col, g.b + k * g.b_row + j, g.b_row, 1, c,
               g.c_row, m, n, k_count, accumulate);
    } else if (n < kPanel) {
      accumulate ? store<true, false>(c, g.c_row) : store<false, false>(c, g.c_row);
    } else {
      accumulate ? store<true, true>(c, g.c_row) : store<false, true>(c, g.c_row);
    }
    m = 0;
  }

 private:
  LAMINA_INLINE VecF sum(int64_t r, int t) const {
    if (MT == 1) return VecF::load(tiles + r * 16 + t * 256) + VecF::load(tiles + r * 16 + t * 256 + 512);
    return VecF::load(tiles + (r >> 4) * 512 + (r & 15) * 16 + t * 256);
  }
  bool finite() const {
    VecF zero[2];
    for (int64_t r = 0; r < m; ++r) {  // x * 0 is NaN where x is not finite
      zero[0] = fma(sum(r, 0), VecF(), zero[0]);
      zero[1] = fma(sum(r, 1), VecF(), zero[1]);
    }
    return all(zero[0] + zero[1] == VecF());
  }
  template <bool kAdd, bool kWhole>
  LAMINA_INLINE void store(float* c, int64_t c_row) const {
    const VecF scale(kScaleBack);
    for (int64_t r = 0; r < m; ++r, c += c_row) {
#pragma GCC unroll 2
      for (int t = 0; t < 2; ++t) {
        const int lanes = kWhole ? 16 : clamp_lanes(n - t * 16);
        if (lanes == 0) break;
        const VecF x = sum(r, t);
        (kAdd ? fma(x, scale, VecF::load(c + t * 16, lanes)) : x * scale).store(c + t * 16, lanes);
      }
    }
  }
};

// The transpose of up to 16 rows of up to 16 columns, zeros around it.
void turn(const float* src, int64_t step, int64_t rows, int64_t columns, float* dst) {
  VecF r[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = i < rows ? VecF::load(src + i * step, clamp_lanes(columns)) : VecF();
  transpose(r);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i].store(dst + i * 16);
}

// A's parts: [32 rows][unit][part][half: 16 rows][16][32 bfloat16]; false if an element must not be split.
template <int MT>
bool split_a(const GemmSkinny& g) {
  constexpr int64_t kPart = kPartA<MT>;
  const int64_t units = ceil_div(g.k, kUnit);
  VecF sum_a, sum_b;
  uint16_t* to = g.parts_a;
  for (int64_t i = 0; i < g.m; i += kPanel) {
    const int64_t m = simd_min(kPanel, g.m - i);
    for (int64_t unit = 0; unit < units; ++unit, to += P * kPart) {
      const float* a = g.a + i * g.a_row + unit * kUnit * g.a_col;
      const int64_t k = simd_min(kUnit, g.k - unit * kUnit);
      if (g.a_col == 1) {
        const int k_0 = clamp_lanes(k), k_16 = clamp_lanes(k - 16);
        for (int64_t r = 0; r < m; ++r, a += g.a_row) {
          const VecF x = VecF::load(a, k_0), y = k_16 > 0 ? VecF::load(a + 16, k_16) : VecF();
          split_row<P>(x, y, sum_a, sum_b, to + r * kUnit, kPart);
        }
        continue;
      }
      for (int64_t half = 0; half < m; half += 16) {
        alignas(64) float square[2][256];
        turn(a + half, g.a_col, k, m - half, square[0]);
        turn(a + half + 16 * g.a_col, g.a_col, k - 16, m - half, square[1]);
        for (int64_t r = 0; r < simd_min<int64_t>(16, m - half); ++r) {
          split_row<P>(VecF::load(square[0] + r * 16), VecF::load(square[1] + r * 16), sum_a, sum_b,
                       to + (half + r) * kUnit, kPart);
        }
      }
    }
  }
  return fits(sum_a, sum_b);
}

template <int MT>
void multiply(const GemmSkinny& g) {
  const int64_t units = ceil_div(g.k, kUnit);
  if (!split_a<MT>(g)) {
    for (int64_t k = 0; k < g.k; k += kBlockUnits * kUnit) {
      fma_tile(g.a + k * g.a_col, g.a_row, g.a_col, g.b + k * g.b_row, g.b_row, 1, g.c, g.c_row, g.m, g.n,
               simd_min(kBlockUnits * kUnit, g.k - k), g.accumulate || k > 0);
    }
    return;
  }
  const TileScope scope;
  ChunkSplitter beside(g);
  for (int i = 0; i < kSkinnyAhead; ++i) beside.chunk();
  Sums<MT> sums[2];
  int turn = 0;
  int64_t first = 0;   // chunk of these columns in the ring
  int64_t blocks = 0;  // of k, so far
  for (int64_t j = 0; j < g.n; j += kPanel) {
    int64_t at = first;
    uint64_t kept = 0;  // a bit for each block of k
    const uint16_t* a = g.parts_a;
    for (int64_t i = 0; i < g.m; i += kPanel) {
      at = first;
      for (int64_t unit = 0; unit < units; unit += kBlockUnits) {
        const int64_t end = simd_min(unit + kBlockUnits, units), k = unit * kUnit;
        zero_c();
        for (int64_t u = unit; u < end; ++u, a += P * kPartA<MT>) {
          const uint16_t* b = g.ring + at * kChunkSize;
          if (++at == g.chunks) at = 0;
          const bool splits = i == 0 && beside.left();
          if (splits && beside.whole()) {
            beside.begin();
            multiply_chunk<MT, true>(a, b, beside);
            beside.next();
          } else {
            multiply_chunk<MT, false>(a, b, beside);
            if (splits) beside.chunk();
          }
        }
        const int64_t bit = unit / kBlockUnits;
        if (i == 0) kept |= static_cast<uint64_t>(beside.kept_all(blocks++)) << bit;
        Sums<MT>& now = sums[turn];
        store_c(now.tiles);
        now.i = i, now.j = j, now.k = k;
        now.m = simd_min(kPanel, g.m - i), now.n = simd_min(kPanel, g.n - j);
        now.k_count = simd_min(end * kUnit, g.k) - k;
        now.kept = kept >> bit & 1;
        now.accumulate = g.accumulate || unit > 0;
        turn ^= 1;
        sums[turn].finish(g);
      }
    }
    first = at;
  }
  sums[turn ^ 1].finish(g);
}

void multiply_any(const GemmSkinny& g) { g.m <= kTileRows ? multiply<1>(g) : multiply<2>(g); }

}  // namespace

namespace LAMINA_ROW {
extern const GemmSkinnyKernels gemm_skinny_kernels;
const GemmSkinnyKernels gemm_skinny_kernels = {multiply_any};
}  // namespace LAMINA_ROW
}  // namespace lamina
