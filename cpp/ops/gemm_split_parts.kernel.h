// How float32 becomes bfloat16 parts in panels (gemm_split.h), for the kernels of row amx.
#pragma once

#include "ops/gemm_split.h"
#include "simd/tiles.h"
#include "simd/transpose.h"
#include "simd/vec.h"

namespace lamina {
namespace {

constexpr int64_t kPanel = kSplitPanel, kUnit = kSplitUnit;
constexpr int64_t kBlockK = 128;                           // a panel of A and of B: 24 KB each
constexpr int64_t kTile = kTileBytes / 2;                  // bfloat16 of one tile
constexpr int64_t kPartSize = 2 * kTile;                   // of one part of a panel over one unit
constexpr float kScaleIn = 0x1p32f, kScaleOut = 0x1p-64f;  // exact
constexpr float kLargestSum = 0x1p112f;  // of squares of scaled elements: each is at most 2^56

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
LAMINA_INLINE int clamp_lanes(int64_t n) {
  return static_cast<int>(simd_max<int64_t>(0, simd_min<int64_t>(n, VecF::kLanes)));
}

// The upper halves of a and b side by side, b above: one row of a tile.
LAMINA_INLINE void store_pairs(VecI a, VecI b, uint16_t* row) {
  const VecI pairs = upper_halves(a, b);
  __builtin_memcpy(row, &pairs.v, sizeof pairs.v);
}

// One row of a tile for each part, of elements that are scaled. The first part is rounded (half up), or for P
// = 3 cut off, as the second is; the last is what is left, exact for P = 3 and rounded for less.
template <int P, bool kCuts = false>
LAMINA_INLINE void split_scaled(VecF a, VecF b, uint16_t* row, int64_t part = kPartSize) {
  const VecI half(0x8000), upper(static_cast<int32_t>(0xffff0000));
  const auto rounded = [&](VecF x) __attribute__((always_inline)) {
    return (bit_cast<int32_t>(x) + half) & upper;
  };
  constexpr bool kCut = kCuts && P == 3;
  VecI a1 = kCut ? bit_cast<int32_t>(a) & upper : rounded(a),
       b1 = kCut ? bit_cast<int32_t>(b) & upper : rounded(b);
  store_pairs(a1, b1, row);
  if constexpr (P >= 2) {
    a = a - bit_cast<float>(a1);
    b = b - bit_cast<float>(b1);
    a1 = P == 2 ? rounded(a) : bit_cast<int32_t>(a) & upper;
    b1 = P == 2 ? rounded(b) : bit_cast<int32_t>(b) & upper;
    store_pairs(a1, b1, row + part);
  }
  if constexpr (P == 3) {
    store_pairs(bit_cast<int32_t>(a - bit_cast<float>(a1)), bit_cast<int32_t>(b - bit_cast<float>(b1)),
                row + 2 * part);
  }
}
// `sum` gathers the squares.
template <int P>
LAMINA_INLINE void split_row(VecF a, VecF b, VecF& sum_a, VecF& sum_b, uint16_t* row,
                             int64_t part = kPartSize) {
  a *= VecF(kScaleIn);
  b *= VecF(kScaleIn);
  sum_a = fma(a, a, sum_a);
  sum_b = fma(b, b, sum_b);
  split_scaled<P>(a, b, row, part);
}

// No element was too large, infinite or NaN.
LAMINA_INLINE bool fits(VecF sum_a, VecF sum_b) {
  return all((sum_a <= VecF(kLargestSum)) & (sum_b <= VecF(kLargestSum)));
}

// Splits one panel over k, a step (one row of a tile, or a transposed square) at a time, in any number of
// calls.
//   a, along k      rows of A as they lie
//   b, along n      rows of B as they lie
//   transposed      columns of A, or of B, as they lie: squares of 16 x 16 are turned in registers
enum class Order { a_along_k, b_along_n, transposed };

template <int P>
class Splitter {
 public:
  // count <= 32 rows of A or columns of B over k; at(w, k) = src[w * w_step + k * k_step]. What lies alike
  // from `after` on comes next and is fetched meanwhile.
  void begin(bool of_a, const float* src, int64_t w_step, int64_t k_step, int64_t count, int64_t k,
             uint16_t* dst, const float* after = nullptr) {
    src_ = src;
    ahead_ = after ? after - src : 0;
    dst_ = dst;
    w_step_ = w_step;
    k_step_ = k_step;
    count_ = count;
    k_ = k;
    of_a_ = of_a;
    i_ = 0;
    unit_ = 0;
    units_ = ceil_div(k, kUnit);
    halves_ = count > kTileRows ? 2 : 1;
    full_ = count == kPanel && k % kUnit == 0;
    if (of_a && k_step == 1) {
      order_ = Order::a_along_k;
      left_ = units_ * halves_ * kTileRows;
    } else if (!of_a && w_step == 1) {
      order_ = Order::b_along_n;
      left_ = units_ * kTileRows;
    } else {
      order_ = Order::transposed;
      left_ = units_ * halves_ * (kTileRows + 2);
    }
  }
  int64_t left() const { return left_; }

  void steps(int64_t n) {
    n = simd_min(n, left_);
    left_ -= n;
    switch (order_) {
      case Order::a_along_k:
        return full_ ? steps_a<true>(n) : steps_a<false>(n);
      case Order::b_along_n:
        return full_ ? steps_b<true>(n) : steps_b<false>(n);
      case Order::transposed:
        return steps_transposed(n);
    }
  }
  void finish() { steps(left_); }
  // Of all that was split since the last call.
  bool fits() {
    const bool fit = lamina::fits(sum_a_, sum_b_);
    sum_a_ = sum_b_ = VecF();
    return fit;
  }

 private:
  // Row i_ of the panel, unit_ of k; k inside.
  template <bool kFull>
  void steps_a(int64_t n) {
    VecF sum_a = sum_a_, sum_b = sum_b_;
    int64_t i = i_, unit = unit_;
    const int64_t units = units_, count = count_, k = k_;
    const float* p = src_ + i * w_step_ + unit * kUnit;
    uint16_t* to = dst_ + unit * P * kPartSize + i * kUnit;
    for (; n > 0; --n) {
      const int64_t left = kFull ? kUnit : i < count ? k - unit * kUnit : 0;
      __builtin_prefetch(p + ahead_, 0, 2);
      __builtin_prefetch(p + ahead_ + 16, 0, 2);
      split_row<P>(load<kFull>(p, left), load<kFull>(p + 16, left - 16), sum_a, sum_b, to);
      p += kUnit;
      to += P * kPartSize;
      if (++unit == units) {
        unit = 0;
        ++i;
        p = src_ + i * w_step_;
        to = dst_ + i * kUnit;
      }
    }
    i_ = i;
    unit_ = unit;
    sum_a_ = sum_a;
    sum_b_ = sum_b;
  }
  // Row i_ of unit_ and 16 further: both halves of the columns.
  template <bool kFull>
  void steps_b(int64_t n) {
    VecF sum_a = sum_a_, sum_b = sum_b_;
    int64_t i = i_;
    const int64_t step = k_step_;
    const float* p = src_ + (unit_ * kUnit + i) * step;
    uint16_t* to = dst_ + unit_ * P * kPartSize + i * kUnit;
    for (; n > 0; --n) {
      const int64_t left = kFull ? kUnit : k_ - unit_ * kUnit - i;  // rows
      const int64_t n_0 = left > 0 ? count_ : 0, n_16 = left > 16 ? count_ : 0;
      const float* q = kFull || left > 16 ? p + 16 * step : p;
      split_row<P>(load<kFull>(p, n_0), load<kFull>(q, n_16), sum_a, sum_b, to);
      if (kFull || count_ > 16) {
        split_row<P>(load<kFull>(p + 16, n_0 - 16), load<kFull>(q + 16, n_16 - 16), sum_a, sum_b, to + kTile);
      }
      p += step;
      to += kUnit;
      if (++i == kTileRows) {
        i = 0;
        ++unit_;
        p += 16 * step;
        to = dst_ + unit_ * P * kPartSize;
      }
    }
    i_ = i;
    sum_a_ = sum_a;
    sum_b_ = sum_b;
  }
  // Of each half of a unit first two squares, k and 16 further, into square_; then their rows.
  void steps_transposed(int64_t n) {
    VecF sum_a = sum_a_, sum_b = sum_b_;
    for (; n > 0; --n) {
      const int64_t half = halves_ == 2 ? unit_ & 1 : 0, unit = halves_ == 2 ? unit_ >> 1 : unit_;
      if (i_ < 2) {
        const int64_t k = unit * kUnit + i_ * 16;
        const int w_lanes = clamp_lanes(count_ - half * 16), k_lanes = clamp_lanes(k_ - k);
        turn(src_ + half * 16 * w_step_ + k * k_step_, of_a_ ? k_step_ : w_step_, of_a_ ? k_lanes : w_lanes,
             of_a_ ? w_lanes : k_lanes, square_[i_]);
      } else {
        const int64_t row = i_ - 2;
        const float* line = src_ + ahead_ + half * 16 * w_step_ + unit * kUnit * k_step_;
        if (of_a_) {
          __builtin_prefetch(line + row * k_step_, 0, 2);
          __builtin_prefetch(line + (row + 16) * k_step_, 0, 2);
        } else {
          __builtin_prefetch(line + row * w_step_, 0, 2);
          __builtin_prefetch(line + row * w_step_ + 16, 0, 2);
        }
        split_row<P>(VecF::load(square_[0] + row * 16), VecF::load(square_[1] + row * 16), sum_a, sum_b,
                     dst_ + unit * P * kPartSize + half * kTile + row * kUnit);
      }
      if (++i_ == kTileRows + 2) {
        i_ = 0;
        ++unit_;
      }
    }
    sum_a_ = sum_a;
    sum_b_ = sum_b;
  }
  template <bool kFull>
  static LAMINA_INLINE VecF load(const float* p, int64_t n) {
    return kFull ? VecF::load(p) : VecF::load(p, clamp_lanes(n));
  }
  // The transpose of `vectors` rows of `lanes`, zeros around it.
  static LAMINA_INLINE void turn(const float* src, int64_t step, int vectors, int lanes, float* dst) {
    VecF r[16];
    if (vectors == 16 && lanes == 16) {
#pragma GCC unroll 16
      for (int v = 0; v < 16; ++v) r[v] = VecF::load(src + v * step);
    } else {
#pragma GCC unroll 16
      for (int v = 0; v < 16; ++v)
        r[v] = VecF::load(v < vectors ? src + v * step : src, v < vectors ? lanes : 0);
    }
    transpose(r);
#pragma GCC unroll 16
    for (int v = 0; v < 16; ++v) r[v].store(dst + v * 16);
  }

  const float* src_;
  uint16_t* dst_;
  int64_t ahead_;
  int64_t w_step_, k_step_, count_, k_, unit_, units_, halves_, i_, left_ = 0;
  VecF sum_a_, sum_b_;
  Order order_;
  bool of_a_, full_;
  alignas(64) float square_[2][256];
};

}  // namespace
}  // namespace lamina
