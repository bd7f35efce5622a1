// What products of bfloat16 parts are made of (gemm_split.h), for the kernels of row amx: splitting, storing,
// multiplying. A tile of C is 2 x 2 hardware tiles, 32 x 32; four more hold A and B.
//
// The tile unit takes 16 cycles for a product and one of the two vector ports; the other port is free
// meanwhile, and loads and stores are. So the rest of the work is done beside the products, a little after
// every few of them (`Side`): storing the C tile before, preparing the panel that comes next.
#pragma once

#include "ops/activation.kernel.h"
#include "ops/gemm_split_parts.kernel.h"
#include "simd/stream.h"

namespace lamina {
namespace {

// What follows the sums of a tile of C.
struct Epilogue {
  const float *bias = nullptr, *residual = nullptr;  // the residual's rows lie as far apart as C's
  bool relu = false;
};

// A finished tile of C on its way from the tile registers to memory, a row at a time.
class Results {
 public:
  bool past_caches = false;  // rows of 32 are whole lines that nobody reads soon; not with `accumulate`

  // Row i of the tile goes to c + i * c_row or, where `rows` is given, to c + rows[i]; nowhere where that is
  // negative.
  float* begin(float* c, int64_t c_row, int64_t m, int64_t n, bool accumulate,
               const int64_t* rows = nullptr) {
    c_ = c;
    c_row_ = c_row;
    rows_ = rows;
    left_ = m;
    row_ = 0;
    n_[0] = clamp_lanes(n);
    n_[1] = clamp_lanes(n - 16);
    accumulate_ = accumulate;
    last_ = false;
    return tiles_;
  }
  // These sums are the last ones, for rows of C as they lie.
  void follow_with(const Epilogue& epilogue) {
    last_ = true;
    epilogue_ = epilogue;
  }
  int64_t left() const { return left_; }
  LAMINA_INLINE void steps(int64_t n) {
    if (last_) return steps_last(n);
    n = simd_min(n, left_);
    left_ -= n;
    const int64_t end = row_ + n;
    for (int64_t row = row_; row < end; ++row) {
      if (rows_ && rows_[row] < 0) continue;
      float* c = c_ + (rows_ ? rows_[row] : row * c_row_);
      const float* from = tiles_ + (row & 16) * 32 + (row & 15) * 16;
      if (n_[1] == 16 && past_caches) {
        stream(c, VecF::load(from) * VecF(kScaleOut));
        stream(c + 16, VecF::load(from + 256) * VecF(kScaleOut));
      } else if (n_[1] == 16) {
        put(from, c, 16);
        put(from + 256, c + 16, 16);
      } else {
        put(from, c, n_[0]);
        if (n_[1] > 0) put(from + 256, c + 16, n_[1]);
      }
    }
    row_ = end;
  }
  void finish() { steps(left_); }

 private:
  LAMINA_INLINE VecF sum(const float* from, const float* to, int n) const {
    const VecF x = VecF::load(from), scale(kScaleOut);
    return accumulate_ ? fma(x, scale, VecF::load(to, n)) : x * scale;
  }
  LAMINA_INLINE void put(const float* from, float* to, int n) const { sum(from, to, n).store(to, n); }
  __attribute__((noinline)) void steps_last(int64_t n) {
    n = simd_min(n, left_);
    left_ -= n;
    const Epilogue e = epilogue_;
    for (const int64_t end = row_ + n; row_ < end; ++row_) {
      const float* from = tiles_ + (row_ & 16) * 32 + (row_ & 15) * 16;
      for (int64_t half = 0; half < 2 && n_[half] > 0; ++half, from += 256) {
        const int64_t at = row_ * c_row_ + half * 16;
        const int lanes = n_[half];
        VecF y = sum(from, c_ + at, lanes);
        if (e.bias) y += VecF::load(e.bias + half * 16, lanes);
        if (e.relu) y = activate<Activation::relu>(y);
        if (e.residual) y += VecF::load(e.residual + at, lanes);
        y.store(c_ + at, lanes);
      }
    }
  }
  float* c_;
  const int64_t* rows_;
  int64_t c_row_, row_ = 0, left_ = 0;
  int n_[2];
  bool accumulate_, last_ = false;
  alignas(64) float tiles_[4 * 256];  // [half of m][half of n][16][16]
  Epilogue epilogue_;
};

// What runs beside the tiles, after each group of products. Feeder: Splitter, or another class with left(),
// steps() and finish() that prepares the next panel; Out likewise takes away what is finished.
template <class Feeder, class Out = Results>
struct Side {
  Out results;
  Feeder next;
  int64_t results_each = 0, next_each = 0;  // steps each time

  __attribute__((noinline)) void run() {
    if (results.left() > 0) results.steps(results_each);
    if (next.left() > 0) next.steps(next_each);
  }
};

// For panels that need no preparing.
struct NoFeeder {
  int64_t left() const { return 0; }
  void steps(int64_t) {}
};

constexpr int runs_of(int parts) { return parts; }  // of Side for one unit of k

// Tiles 0..3: C, 4 and 5: A, 6 and 7: B.
template <int MT, bool kOnce>
LAMINA_INLINE void load_a(const uint16_t* a, int64_t half, int64_t step) {
  if constexpr (kOnce) {
    tile_stream<4>(a, step);
    if constexpr (MT == 2) tile_stream<5>(a + half, step);
    return;
  }
  tile_load<4>(a, step);
  if constexpr (MT == 2) tile_load<5>(a + half, step);
}
template <int NT, bool kOnce>
LAMINA_INLINE void load_b(const uint16_t* b) {
  if constexpr (kOnce) {
    tile_stream<6>(b);
    if constexpr (NT == 2) tile_stream<7>(b + kTile);
    return;
  }
  tile_load<6>(b);
  if constexpr (NT == 2) tile_load<7>(b + kTile);
}
template <int MT, int NT>
LAMINA_INLINE void dot() {
  tile_dot_bf16<0, 4, 6>();
  if constexpr (NT == 2) tile_dot_bf16<1, 4, 7>();
  if constexpr (MT == 2) tile_dot_bf16<2, 5, 6>();
  if constexpr (MT == 2 && NT == 2) tile_dot_bf16<3, 5, 7>();
}

// Where the parts of A lie: those of a panel, or elsewhere.
struct PanelOfA {
  const uint16_t* panel;
  static constexpr int64_t part = kPartSize, half = kTile, step = kUnit * 2;
  static constexpr bool a_once = false, b_once = false;  // loaded past L1, which is the other one's
  template <int P>
  LAMINA_INLINE const uint16_t* unit(int64_t i) const {
    return panel + i * P * kPartSize;
  }
};

struct StreamedA : PanelOfA {
  static constexpr bool a_once = true;
};
struct StreamedB : PanelOfA {
  static constexpr bool b_once = true;
};

// C tile += A * B panel over `units` of k, small products first within a unit; each step changes one operand
// only. The first part of one operand is loaded twice: never of the one that streams.
template <int P, int MT, int NT, class A, class Sides>
void products(const A& of_a, const uint16_t* b, int64_t units, Sides& side) {
  const int64_t part = of_a.part, half = of_a.half, step = of_a.step;
  const auto la = [&](const uint16_t* p) __attribute__((always_inline)) {
    load_a<MT, A::a_once>(p, half, step);
  };
  constexpr auto lb = load_b<NT, A::b_once>;
  for (int64_t i = 0; i < units; ++i, b += P * kPartSize) {
    const uint16_t* a = of_a.template unit<P>(i);
    const uint16_t* const a_parts[] = {a, a + part, a + 2 * part};
    const uint16_t* const b_parts[] = {b, b + kPartSize, b + 2 * kPartSize};
    const auto once = [&](int p) __attribute__((always_inline)) {
      A::a_once ? la(a_parts[p]) : lb(b_parts[p]);
    };
    const auto twice = [&](int p) __attribute__((always_inline)) {
      A::a_once ? lb(b_parts[p]) : la(a_parts[p]);
    };
    twice(0);
    if constexpr (P == 3) {
      once(2);
      dot<MT, NT>();  // parts 1 and 3
    }
    if constexpr (P >= 2) {
      once(1);
      dot<MT, NT>();  // 1 2
      side.run();
      twice(1);
    }
    if constexpr (P == 3) dot<MT, NT>();  // 2 2
    once(0);
    if constexpr (P >= 2) {
      dot<MT, NT>();  // 2 1
      side.run();
    }
    if constexpr (P == 3) {
      twice(2);
      dot<MT, NT>();  // 3 1
    }
    if constexpr (P >= 2) twice(0);
    dot<MT, NT>();  // 1 1
    side.run();
  }
}

// [m > 16][n > 16]
template <class A, class Sides>
using ProductsFn = void (*)(const A&, const uint16_t*, int64_t, Sides&);
template <int P, class A, class Sides>
constexpr ProductsFn<A, Sides> kProducts[2][2] = {{products<P, 1, 1, A, Sides>, products<P, 1, 2, A, Sides>},
                                                  {products<P, 2, 1, A, Sides>, products<P, 2, 2, A, Sides>}};

LAMINA_INLINE void zero_c() {
  tile_zero<0>();
  tile_zero<1>();
  tile_zero<2>();
  tile_zero<3>();
}
LAMINA_INLINE void store_c(float* tiles) {
  tile_store<0>(tiles);
  tile_store<1>(tiles + 256);
  tile_store<2>(tiles + 512);
  tile_store<3>(tiles + 768);
}

// C[m, n] (+)= A[m, k] B[k, n], any strides: chains of fma, for what must not be split.
inline void fma_tile(const float* a, int64_t a_row, int64_t a_col, const float* b, int64_t b_row,
                     int64_t b_col, float* c, int64_t c_row, int64_t m, int64_t n, int64_t k,
                     bool accumulate) {
  constexpr int kRows = 4;
  for (int64_t j = 0; j < n; j += VecF::kLanes) {
    const int lanes = lanes_at<float>(n, j);
    for (int64_t i = 0; i < m; i += kRows) {
      const int64_t last = simd_min<int64_t>(kRows, m - i) - 1;
      VecF sum[kRows];
      for (int64_t p = 0; p < k; ++p) {
        const float* from = b + p * b_row + j * b_col;
        const VecF row = b_col == 1 ? VecF::load(from, lanes) : VecF::load_strided(from, b_col, lanes);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          sum[r] = fma(VecF(a[(i + simd_min<int64_t>(r, last)) * a_row + p * a_col]), row, sum[r]);
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        if (r > last) break;
        float* to = c + (i + r) * c_row + j;
        if (accumulate) sum[r] += VecF::load(to, lanes);
        sum[r].store(to, lanes);
      }
    }
  }
}

}  // namespace
}  // namespace lamina
