// Letters as in attention.h, P parts and panels as in gemm_split.h.
#include "ops/attention_split.h"

#include "ops/attention.kernel.h"
#include "ops/gemm_split.kernel.h"
#include "simd/math.h"

namespace lamina {
namespace {

constexpr int64_t kPanels = kAttentionQueries / kPanel;
constexpr int64_t kUnitsEach = 2,
                  kRowsEach = 4;  // keys weighed in one step, rows whose maxima are found in one

// Bytes from the start of scratch. Scores and weights are there twice: of the panel that is weighed, and of
// the one whose products run beside it.
struct Layout {
  int64_t row;  // floats of a row of scores: whole lines, not a power of two apart
  size_t q_panel, scores_panel, weights_panel, scores, weights, bytes;

  LAMINA_INLINE Layout(int parts, int64_t D, int64_t rows, int64_t keys)
      : row(ceil_div(keys, kPanel) * kPanel + 16),
        q_panel(static_cast<size_t>(split_panel_size(parts, D)) * sizeof(uint16_t)),
        scores_panel(static_cast<size_t>(kPanel * row) * sizeof(float)),
        weights_panel(static_cast<size_t>(split_panel_size(parts, keys)) * sizeof(uint16_t)),
        scores(q_panel * static_cast<size_t>(ceil_div(rows, kPanel))),
        weights(scores + 2 * scores_panel),
        bytes(weights + 2 * weights_panel) {}
};

// 2^t kScaleIn for t that are 0 but for rounding, or less. 2^t = 2^n 2^f, |f| <= 1/2: minimax, relative error
// 2^-28.
LAMINA_INLINE VecF scaled_power(VecF t) {
  constexpr float kC[] = {kScaleIn,
                          kScaleIn * 0x1.62e430p-1f,
                          kScaleIn * 0x1.ebfbdcp-3f,
                          kScaleIn * 0x1.c6af7ap-5f,
                          kScaleIn * 0x1.3b2dd2p-7f,
                          kScaleIn * 0x1.5f094ap-10f,
                          kScaleIn * 0x1.417abap-13f};
  constexpr float kShift = 0x1.8p23f;
  t = max_or_second(-200.0f, t);  // NaN stays
  const VecF n = (t + kShift) - kShift;
  return scale_by_power(polynomial(t - n, kC), n);
}

// Scores of a panel of queries on their way to parts of weights, some keys of a row in a step.
template <int P>
class Weigher {
 public:
  void begin(const AttentionBlock& b, float* scores, int64_t row, uint16_t* parts, float* maximum, float* sum,
             float* correction) {
    b_ = b;
    plain_ = b.plain() && b.scale > 0;
    scale_ = plain_ ? static_cast<float>(b.scale) : 1.0f;
    scores_ = scores;
    row_ = row;
    parts_ = parts;
    maximum_ = maximum;
    sum_ = sum;
    correction_ = correction;
    i_ = unit_ = 0;
    units_ = ceil_div(b.keys, kUnit);
    left_ = b.rows * ceil_div(units_, kUnitsEach);
  }
  int64_t left() const { return left_; }
  void steps(int64_t n) {
    n = simd_min(n, left_);
    left_ -= n;
    for (; n > 0; --n) {
      if (unit_ == 0) begin_row();
      const int64_t last = simd_min(unit_ + kUnitsEach, units_);
      if (plain_ && last * kUnit <= b_.keys) {
        for (; unit_ < last; ++unit_) weigh<true>();
      } else {
        for (; unit_ < last; ++unit_) weigh<false>();
      }
      if (unit_ == units_) end_row();
    }
  }
  void finish() { steps(left_); }

 private:
  // The maxima of kRowsEach rows together, whose long chains so overlap.
  void begin_row() {
    added_[0] = added_[1] = VecF();
    if (b_.state) draw_row(b_, i_, keep_);
    if (i_ % kRowsEach > 0) return;
    const int64_t rows = simd_min(kRowsEach, b_.rows - i_);
    const float* s[kRowsEach];
    VecF peaks[kRowsEach];
    for (int64_t r = 0; r < kRowsEach; ++r) {
      const int64_t row = simd_min(r, rows - 1);
      s[r] = scores_ + row * row_;
      peaks[r] = VecF(kLowest<float>);
      if (!plain_ && r < rows) prepare(b_, i_ + r, scores_ + r * row_);
    }
    along<float>(
        b_.keys, [&](int64_t j, int k) __attribute__((always_inline)) {
#pragma GCC unroll 4
          for (int64_t r = 0; r < kRowsEach; ++r) {
            peaks[r] = max_or_second(keep_first(VecF::load(s[r] + j, k), k, VecF(kLowest<float>)), peaks[r]);
          }
        });
    for (int64_t r = 0; r < rows; ++r) {
      const float peak = VecF::reduce(
          peaks[r], [](VecF a, VecF b) __attribute__((always_inline)) { return max_or_second(a, b); });
      const float before = maximum_[i_ + r],
                  top = simd_max(before, simd_max(static_cast<float>(kUnseen), peak * scale_));
      maximum_[i_ + r] = top;
      correction_[i_ + r] = before - top;
    }
  }
  // Unit unit_ of row i_: kFull has whole vectors and scores that are scaled as they are weighed.
  template <bool kFull>
  LAMINA_INLINE void weigh() {
    const int64_t j = unit_ * kUnit;
    const VecF top(maximum_[i_]), scale(scale_ * kLog2e), shift(maximum_[i_] * -kLog2e);
    VecF p[2];
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const int64_t at = j + half * 16;
      const VecF s = VecF::load(scores_ + at);
      if (kFull) {
        p[half] = scaled_power(fma(s, scale, shift));
      } else {
        p[half] = keep_first(scaled_power((s * VecF(scale_) - top) * VecF(kLog2e)), clamp_lanes(b_.keys - at),
                             VecF());
      }
      added_[half] += p[half];
      if (b_.state) p[half] *= VecF::load(keep_ + at);
    }
    split_scaled<P, true>(p[0], p[1], parts_ + unit_ * P * kPartSize + i_ * kUnit);
  }
  void end_row() {
    correction_[kPanel + i_] = reduce_add(added_[0] + added_[1]) * (1 / kScaleIn);
    unit_ = 0;
    scores_ += row_;
    if (++i_ < b_.rows) return;
    along<float>(b_.rows, [&](int64_t i, int k) {
      const VecF factor = exp(VecF::load(correction_ + i, k));
      factor.store(correction_ + i, k);
      fma(VecF::load(sum_ + i, k), factor, VecF::load(correction_ + kPanel + i, k)).store(sum_ + i, k);
    });
  }

  AttentionBlock b_;
  bool plain_;
  float *scores_, *maximum_, *sum_, *correction_;  // correction: of each row, then what each row adds to sum
  uint16_t* parts_;
  int64_t row_, i_ = 0, unit_ = 0, units_ = 0, left_ = 0;
  float scale_;
  VecF added_[2];
  alignas(64) float keep_[kAttentionKeys];
};

// A finished tile of weights times values on its way to o, a row at a time.
class Outputs {
 public:
  // o = tile + o factor; without factor o is new.
  float* begin(float* o, int64_t o_row, int64_t m, int64_t n, const float* factor) {
    o_ = o;
    o_row_ = o_row;
    left_ = m;
    row_ = 0;
    n_[0] = clamp_lanes(n);
    n_[1] = clamp_lanes(n - 16);
    adds_ = factor;
    if (factor) __builtin_memcpy(factor_, factor, sizeof factor_);
    return tiles_;
  }
  int64_t left() const { return left_; }
  void steps(int64_t n) {
    n = simd_min(n, left_);
    left_ -= n;
    for (const int64_t end = row_ + n; row_ < end; ++row_) {
      for (int half = 0; half < 2; ++half) {
        if (n_[half] == 0) continue;
        float* o = o_ + row_ * o_row_ + half * 16;
        const VecF x =
            VecF::load(tiles_ + (row_ & 16) * 32 + (row_ & 15) * 16 + half * 256) * VecF(kScaleOut);
        (adds_ ? fma(VecF::load(o, n_[half]), VecF(factor_[row_]), x) : x).store(o, n_[half]);
      }
    }
  }
  void finish() { steps(left_); }

 private:
  float* o_;
  int64_t o_row_, row_ = 0, left_ = 0;
  int n_[2];
  bool adds_;
  alignas(64) float tiles_[4 * 256], factor_[kPanel];
};

// Queries [first, first + 32) of a block, whose scores are scaled as tiles leave them.
AttentionBlock panel_of(const AttentionSplitBlock& g, int64_t first) {
  AttentionBlock b = g.block;
  b.rows = simd_min(kPanel, b.rows - first);
  b.low += first * b.low_slope;
  b.high += first * b.high_slope;
  if (b.bias) b.bias = static_cast<const float*>(b.bias) + first * b.bias_row;
  for (int m = 0; m < 2; ++m) {
    if (b.mask[m]) b.mask[m] += first * b.mask_row[m];
  }
  b.draw += first * b.draw_row;
  b.scale *= static_cast<double>(kScaleOut);
  if (g.skips) {
    b.keys = simd_max<int64_t>(0, simd_min(b.keys, b.high + (b.rows - 1) * b.high_slope));
  }
  return b;
}

template <int P>
class Block {
  using Beside = Side<Weigher<P>, Outputs>;

 public:
  explicit Block(const AttentionSplitBlock& g)
      : g_(g), at_(P, g.D, g.block.rows, g.block.keys), panels_(ceil_div(g.block.rows, kPanel)) {}

  bool split_queries() {
    Splitter<P> splitter;
    for (int64_t i = 0; i < panels_; ++i) {
      splitter.begin(true, g_.q + i * kPanel * g_.q_row, g_.q_row, 1,
                     simd_min(kPanel, g_.block.rows - i * kPanel), g_.D, q(i));
      splitter.finish();
    }
    return splitter.fits();
  }

  void run() {
    const TileScope scope;
    for (int64_t i = 0; i < panels_; ++i) begin(i);
    for (int64_t i = 0; i < panels_ + 2; ++i) {
      const bool scores = i < panels_, weighs = i >= 1 && i <= panels_, outputs = i >= 2;
      if (weighs) {
        side_.next.begin(panel_[i - 1], this->scores(i - 1), at_.row, weights(i - 1),
                         g_.maximum + (i - 1) * kPanel, g_.sum + (i - 1) * kPanel, correction_[(i - 1) & 1]);
        const int64_t groups = (scores ? ceil_div(panel_[i].keys, kPanel) * ceil_div(g_.D, kUnit) : 0) +
                               (outputs ? ceil_div(g_.E, kPanel) * ceil_div(panel_[i - 2].keys, kUnit) : 0);
        side_.next_each = ceil_div(side_.next.left(), simd_max<int64_t>(1, groups * runs_of(P)));
      }
      if (scores) weigh(i);
      if (outputs) output(i - 2);
      if (weighs) side_.next.finish();
    }
    side_.results.finish();
  }

 private:
  uint16_t* q(int64_t i) const { return at<uint16_t>(static_cast<size_t>(i) * at_.q_panel); }
  float* scores(int64_t i) const {
    return at<float>(at_.scores + static_cast<size_t>(i & 1) * at_.scores_panel);
  }
  uint16_t* weights(int64_t i) const {
    return at<uint16_t>(at_.weights + static_cast<size_t>(i & 1) * at_.weights_panel);
  }
  template <class T>
  T* at(size_t bytes) const {
    return reinterpret_cast<T*>(static_cast<char*>(g_.scratch) + bytes);
  }

  void begin(int64_t i) {
    panel_[i] = panel_of(g_, i * kPanel);
    float *maximum = g_.maximum + i * kPanel, *o = g_.o + i * kPanel * g_.o_row;
    adds_[i] = *maximum != kLowest<float>;
    if (panel_[i].keys > 0 || adds_[i]) return;
    for (int64_t r = 0; r < panel_[i].rows; ++r) {
      maximum[r] = static_cast<float>(kUnseen);
      along<float>(g_.E, [&](int64_t e, int k) { VecF().store(o + r * g_.o_row + e, k); });
    }
  }

  void multiply(const uint16_t* a, const uint16_t* b, int64_t units, bool two_m, bool two_n) {
    side_.results_each = ceil_div(side_.results.left(), units * runs_of(P));
    kProducts<P, StreamedB, Beside>[two_m][two_n]({{a}}, b, units, side_);
  }

  // Scores of panel i.
  void weigh(int64_t i) {
    const AttentionBlock& b = panel_[i];
    const int64_t panels = ceil_div(g_.block.keys, kPanel);
    for (int64_t j = 0; j < b.keys; j += kPanel) {
      zero_c();
      for (int64_t d = 0; d < g_.D; d += kBlockK) {
        const int64_t size = simd_min(kBlockK, g_.D - d);
        multiply(q(i) + split_panel_size(P, d),
                 g_.k + panels * split_panel_size(P, d) + j / kPanel * split_panel_size(P, size),
                 ceil_div(size, kUnit), b.rows > kTileRows, b.keys - j > kTileRows);
      }
      float* to = scores(i) + j;
      const int64_t step = at_.row * static_cast<int64_t>(sizeof(float));
      tile_store<0>(to, step);
      tile_store<1>(to + 16, step);
      tile_store<2>(to + 16 * at_.row, step);
      tile_store<3>(to + 16 * at_.row + 16, step);
    }
  }

  // What the values add to the outputs of panel i.
  void output(int64_t i) {
    const AttentionBlock& b = panel_[i];
    const int64_t panels = ceil_div(g_.E, kPanel);
    if (b.keys == 0) return;
    for (int64_t e = 0; e < g_.E; e += kPanel) {
      zero_c();
      for (int64_t j = 0; j < b.keys; j += kBlockK) {
        const int64_t size = simd_min(kBlockK, g_.block.keys - j);
        multiply(weights(i) + split_panel_size(P, j),
                 g_.v + panels * split_panel_size(P, j) + e / kPanel * split_panel_size(P, size),
                 ceil_div(simd_min(size, b.keys - j), kUnit), b.rows > kTileRows, g_.E - e > kTileRows);
      }
      side_.results.finish();
      store_c(side_.results.begin(g_.o + i * kPanel * g_.o_row + e, g_.o_row, b.rows, g_.E - e,
                                  adds_[i] ? correction_[i & 1] : nullptr));
    }
  }

  const AttentionSplitBlock& g_;
  const Layout at_;
  const int64_t panels_;
  AttentionBlock panel_[kPanels];
  bool adds_[kPanels];
  alignas(64) float correction_[2][2 * kPanel];
  Beside side_;
};

template <int P>
size_t bytes(int64_t D, int64_t rows, int64_t keys) {
  return Layout(P, D, rows, keys).bytes;
}

template <int P>
bool weigh(const AttentionSplitBlock& g) {
  Block<P> block(g);
  if (!block.split_queries()) return false;
  block.run();
  return true;
}

}  // namespace

namespace LAMINA_ROW {
extern const AttentionSplitKernels attention_split_kernels;
const AttentionSplitKernels attention_split_kernels = {
    .bytes = {bytes<1>, bytes<2>, bytes<3>},
    .weigh = {weigh<1>, weigh<2>, weigh<3>},
};
}  // namespace LAMINA_ROW
}  // namespace lamina
